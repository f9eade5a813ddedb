# Tries to become another program; stopped by the empty root and the list of system calls, each.
# verdict: policy_violation; alone: namespaces landlock seccomp
import os


def order(p):
    os.execv("/bin/sh", ["sh", "-c", f"touch {LAB['mark']}"])
