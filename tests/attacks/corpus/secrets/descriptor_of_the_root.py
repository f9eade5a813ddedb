# Tries to climb out of the root through a descriptor of a folder; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
import os


def order(p):
    fd = os.open("/", os.O_RDONLY)
    for _ in range(20):
        fd = os.open("..", os.O_RDONLY, dir_fd=fd)
    raise RuntimeError(os.read(os.open(LAB["secret"].lstrip("/"), os.O_RDONLY, dir_fd=fd), 100).decode())
