# Tries to learn the name of the machine; stopped by the namespace of names and the list of system calls, each.
# verdict: exception; alone: namespaces seccomp
import os


def order(p):
    if os.uname().nodename == LAB["host"]:
        raise RuntimeError("PWNED")
    raise LookupError("another name")
