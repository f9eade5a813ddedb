# Tries to spoil the random numbers of the next candidate; stopped by the process of its own.
# verdict: ok; alone: process
import random

random.Random = None


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
