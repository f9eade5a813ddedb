# Tries to become the debugger of the process it was forked from; stopped by not being dumpable and the list of system calls, each.
# verdict: policy_violation; alone: privileges seccomp
import ctypes, os

PTRACE_SEIZE = 0x4206


def order(p):
    libc = ctypes.CDLL(None)
    if libc.ptrace(PTRACE_SEIZE, os.getppid(), None, None) == 0:
        raise RuntimeError("PWNED")
    raise OSError("cannot be traced")
