# Tries to turn the clock back; stopped by the CPU time measured from outside.
# verdict: ok; alone: process
import time

time.process_time = lambda: -1000.0


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
