# Tries to make a file that has no folder; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import os


def order(p):
    os.memfd_create("notes")
    raise RuntimeError("PWNED")
