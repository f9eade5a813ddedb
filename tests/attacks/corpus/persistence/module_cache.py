# Tries to put a module of its own in NumPy's place; stopped by the process of its own.
# verdict: ok; alone: process
import sys, types

fake = types.ModuleType("math")
fake.isfinite = lambda x: False
sys.modules["math"] = fake


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
