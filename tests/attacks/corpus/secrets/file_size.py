# Tries to learn that a file exists and how large it is; stopped by the empty root and the list of system calls, each.
# verdict: exception; alone: namespaces seccomp
import os


def order(p):
    raise RuntimeError(f"PWNED {os.stat(LAB['secret']).st_size}")
