# Tries to do its deed when the evaluator believes it gone; stopped by the end without farewell.
# verdict: ok; alone: process
import atexit

atexit.register(open, LAB["mark"], "w")


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
