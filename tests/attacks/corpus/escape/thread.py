# Tries to have a thread; stopped by the list of system calls.
# verdict: policy_violation; alone: seccomp
import _thread, time


def order(p):
    done = []
    _thread.start_new_thread(done.append, (1,))
    time.sleep(0.05)
    if done:
        raise RuntimeError("PWNED")
