# Tries to read the evaluator's own files; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
import os, sys


def order(p):
    folder = os.path.dirname(os.path.dirname(sys.executable)) or "/"
    raise RuntimeError("PWNED " + " ".join(os.listdir(folder)))
