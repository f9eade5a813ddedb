# Tries to fill the disk; stopped by the limit of file sizes, the empty root, Landlock and the list of system calls, each.
# verdict: exception; alone: limits namespaces landlock seccomp
def order(p):
    with open(LAB["folder"] + "/flood", "wb") as file:
        file.write(bytes(8_000_000))
    raise RuntimeError("PWNED")
