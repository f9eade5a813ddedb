# Tries to kill the process it was forked from; stopped by the namespace of processes and the list of system calls, each.
# verdict: policy_violation; alone: namespaces seccomp
import os, signal, time


def order(p):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(0.2)
    raise OSError("still here")
