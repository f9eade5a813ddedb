# Tries to watch and break everything that runs after it; stopped by the process of its own.
# verdict: ok; alone: process
import sys


def trace(frame, event, argument):
    if frame.f_code.co_name == "order" and "heapq" in frame.f_globals:
        raise ValueError("mine now")


sys.settrace(trace)


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
