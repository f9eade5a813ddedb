# Tries to leave a file for the next candidate; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
def order(p):
    open(LAB["mark"], "w").close()
    return sorted(range(len(p)), key=lambda i: p[i])
