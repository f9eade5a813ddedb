# Tries to spoil a built-in function for the next candidate; stopped by the process of its own.
# verdict: ok; alone: process
import builtins

keep = builtins.sorted


def order(p):
    builtins.sorted = lambda values: [0.5]
    return keep(range(len(p)), key=lambda i: p[i])
