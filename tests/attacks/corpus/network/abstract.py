# Tries to connect to a socket that is in no folder; stopped by the empty network, Landlock and the list of system calls, each.
# verdict: policy_violation; alone: namespaces landlock seccomp
import socket


def order(p):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(LAB["abstract"])
        raise RuntimeError("PWNED")
