# Tries to connect to a socket in the file system; stopped by the empty root and the list of system calls, each.
# verdict: policy_violation; alone: namespaces seccomp
import socket


def order(p):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(LAB["unix"])
        raise RuntimeError("PWNED")
