# Tries to ask the kernel for its network interfaces; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import socket


def order(p):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as door:
        door.bind((0, 0))
        raise RuntimeError("PWNED")
