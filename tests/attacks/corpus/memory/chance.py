# Tries to decide by chance; stopped by asking again.
# verdict: invalid_decision; accepted; alone: repeat
import os


def order(p):
    return sorted(range(len(p)), key=lambda i: os.urandom(8))
