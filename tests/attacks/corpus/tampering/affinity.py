# Tries to move to all cores; stopped by the list of system calls.
# verdict: exception; alone: seccomp
import os


def order(p):
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    raise RuntimeError("PWNED")
