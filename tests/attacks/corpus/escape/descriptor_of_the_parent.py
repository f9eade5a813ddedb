# Tries to hold on to the process it was forked from; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import os


def order(p):
    os.pidfd_open(os.getppid())
    raise RuntimeError("PWNED")
