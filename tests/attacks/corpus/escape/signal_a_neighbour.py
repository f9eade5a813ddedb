# Tries to send a signal to another process; stopped by the namespace of processes, Landlock and the list of system calls, each.
# verdict: policy_violation; alone: namespaces landlock seccomp
import os, signal


def order(p):
    os.kill(LAB["neighbour"], signal.SIGCONT)
    raise RuntimeError("PWNED")
