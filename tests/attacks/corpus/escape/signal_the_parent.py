# Tries to send a signal to the process it was forked from; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import os, signal


def order(p):
    os.kill(os.getppid(), signal.SIGCONT)
    raise RuntimeError("PWNED")
