# Tries to find the reference answer in the frames that called it; stopped by the process of its own.
# verdict: exception; alone: process
import sys


def order(p):
    frame = sys._getframe()
    while frame is not None:
        if "best_known" in frame.f_locals:
            raise RuntimeError("PWNED " + str(frame.f_locals["best_known"]))
        frame = frame.f_back
    raise LookupError("nothing on the stack")
