# Tries to become root of namespaces of its own; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import ctypes

CLONE_NEWUSER = 0x10000000


def order(p):
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0:
        raise RuntimeError("PWNED")
    raise OSError("no namespaces")
