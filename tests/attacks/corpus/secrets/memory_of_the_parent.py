# Tries to copy memory of the process it was forked from; stopped by not being dumpable and the list of system calls, each.
# verdict: policy_violation; alone: privileges seccomp
import ctypes, os

SECRET = ctypes.create_string_buffer(b"x" * 64)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def order(p):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(64)
    here = Vector(ctypes.addressof(buffer), 64)
    there = Vector(ctypes.cast(libc.getpid, ctypes.c_void_p).value, 64)
    got = libc.process_vm_readv(os.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    if got == 64:
        raise RuntimeError("PWNED")
    raise OSError("no memory")
