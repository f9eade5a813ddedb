# Tries to list a folder; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
import os


def order(p):
    raise RuntimeError("PWNED " + " ".join(sorted(os.listdir(LAB["folder"]))))
