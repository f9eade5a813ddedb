# Tries to listen on a TCP port; stopped by Landlock and the list of system calls, each.
# verdict: policy_violation; alone: landlock seccomp
import socket


def order(p):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as door:
        door.bind(("", 0))
        door.listen()
        raise RuntimeError("PWNED")
