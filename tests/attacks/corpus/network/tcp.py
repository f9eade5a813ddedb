# Tries to connect to a TCP port; stopped by the empty network, Landlock and the list of system calls, each.
# verdict: policy_violation; alone: namespaces landlock seccomp
import socket


def order(p):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as door:
        door.connect(("127.0.0.1", LAB["tcp"]))
        raise RuntimeError("PWNED")
