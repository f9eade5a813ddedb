# Tries to send a datagram; stopped by the empty network and the list of system calls, each.
# verdict: policy_violation; alone: namespaces seccomp
import socket


def order(p):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        if door.sendto(b"secret", ("127.0.0.1", LAB["udp"])):
            raise RuntimeError("PWNED")
