# Tries to make a system call by a number of the 32-bit table; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import ctypes

X32 = 0x40000000


def order(p):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(X32 + 39))
    raise RuntimeError("PWNED")  # it was let through, whatever the kernel makes of it
