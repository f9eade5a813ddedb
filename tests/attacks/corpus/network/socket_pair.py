# Tries to make a socket at all; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import socket


def order(p):
    socket.socketpair()
    raise RuntimeError("PWNED")
