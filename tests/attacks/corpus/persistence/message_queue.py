# Tries to leave a message in a System V queue; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import ctypes


def order(p):
    libc = ctypes.CDLL(None)
    queue = libc.msgget(0x5EC7 + LAB["tcp"], 0o1666)
    if queue >= 0:
        libc.msgctl(queue, 0, None)
        raise RuntimeError("PWNED")
    raise OSError("no queue")
