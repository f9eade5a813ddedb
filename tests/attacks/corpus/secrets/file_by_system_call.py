# Tries to read a file without asking Python; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
import ctypes, os


def order(p):
    libc = ctypes.CDLL(None)
    fd = libc.openat(-100, LAB["secret"].encode(), 0)
    raise RuntimeError(os.read(fd, 100).decode())
