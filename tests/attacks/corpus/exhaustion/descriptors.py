# Tries to open more than it could need; stopped by the limit of descriptors.
# verdict: exception; alone: limits
import os


def order(p):
    hoard = [os.dup(1) for _ in range(500)]
    raise RuntimeError(f"PWNED {len(hoard)}")
