# Tries to decide by the time of day; stopped by asking again.
# verdict: invalid_decision; accepted; alone: repeat
import time


def order(p):
    return sorted(range(len(p)), key=lambda i: time.perf_counter_ns() * 2654435761 % 1000)
