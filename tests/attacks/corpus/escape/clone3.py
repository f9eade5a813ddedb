# Tries to have a second process by a system call that filters cannot look into; stopped by the list of system calls.
# verdict: exception; alone: seccomp
import ctypes, os


def order(p):
    libc = ctypes.CDLL(None)
    arguments = (ctypes.c_uint64 * 8)(0, 0, 0, 0, 17, 0, 0, 0)
    pid = libc.syscall(ctypes.c_long(435), ctypes.byref(arguments), ctypes.c_long(64))
    if pid == 0:
        os._exit(0)
    if pid > 0:
        raise RuntimeError("PWNED")
    raise OSError("no process")
