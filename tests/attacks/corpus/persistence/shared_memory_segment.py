# Tries to leave a segment of System V shared memory; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import ctypes


def order(p):
    libc = ctypes.CDLL(None)
    segment = libc.shmget(0x5EC7 + LAB["tcp"], 4096, 0o1666)
    if segment >= 0:
        libc.shmctl(segment, 0, None)
        raise RuntimeError("PWNED")
    raise OSError("no segment")
