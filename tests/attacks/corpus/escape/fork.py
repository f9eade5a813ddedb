# Tries to have a second process; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import os


def order(p):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    raise RuntimeError("PWNED")
