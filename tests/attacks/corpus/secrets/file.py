# Tries to read a file; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
def order(p):
    with open(LAB["secret"]) as file:
        raise RuntimeError(file.read())
