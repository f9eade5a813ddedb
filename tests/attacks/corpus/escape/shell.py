# Tries to have a shell do it; stopped by the list of system calls and the empty root, each.
# verdict: policy_violation; alone: namespaces landlock seccomp
import os


def order(p):
    os.system(f"touch {LAB['mark']}")
    return [0] * 9
