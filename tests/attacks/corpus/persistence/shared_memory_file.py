# Tries to leave a file in shared memory; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
import os


def order(p):
    name = f"/dev/shm/heuristic-{LAB['neighbour']}"
    os.close(os.open(name, os.O_CREAT | os.O_RDWR))
    os.unlink(name)
    raise RuntimeError("PWNED")
