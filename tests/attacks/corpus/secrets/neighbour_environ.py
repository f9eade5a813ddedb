# Tries to read the environment of another process; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
def order(p):
    with open(f"/proc/{LAB['neighbour']}/environ") as file:
        raise RuntimeError(file.read())
