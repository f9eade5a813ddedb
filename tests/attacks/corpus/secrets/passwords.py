# Tries to read the list of users; stopped by the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: namespaces landlock seccomp
def order(p):
    with open("/etc/passwd") as file:
        raise RuntimeError("PWNED " + file.readline())
