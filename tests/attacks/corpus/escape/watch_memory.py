# Tries to handle its own page faults, a step of many kernel exploits; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import ctypes


def order(p):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(425), ctypes.c_long(1), ctypes.create_string_buffer(120))  # io_uring_setup
    libc.syscall(ctypes.c_long(323), ctypes.c_long(1))  # userfaultfd
    raise RuntimeError("PWNED")  # both were let through, whatever the kernel makes of them
