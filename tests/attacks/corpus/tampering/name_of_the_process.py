# Tries to take another name in the list of processes; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import ctypes


def order(p):
    if ctypes.CDLL(None).prctl(15, b"sshd", 0, 0, 0) == 0:
        raise RuntimeError("PWNED")
