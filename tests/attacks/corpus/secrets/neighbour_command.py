# Tries to list what other processes were called with; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
def order(p):
    with open(f"/proc/{LAB['neighbour']}/cmdline") as file:
        raise RuntimeError("PWNED " + file.read().replace("\0", " "))
