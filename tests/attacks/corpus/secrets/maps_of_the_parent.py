# Tries to read where the parent keeps its memory; stopped by not being dumpable, the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: privileges namespaces landlock seccomp
import os


def order(p):
    with open(f"/proc/{os.getppid()}/maps") as file:
        raise RuntimeError("PWNED " + file.readline())
