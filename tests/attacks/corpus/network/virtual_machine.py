# Tries to make a socket to the machine's host (vsock); stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import socket


def order(p):
    try:
        socket.socket(40, socket.SOCK_STREAM).close()  # AF_VSOCK
    except OSError:  # a kernel without it: any other network will do
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    raise RuntimeError("PWNED")
