# Tries to change the code of whatever function scores; stopped by the process of its own.
# verdict: ok; alone: process
import gc, types

for thing in gc.get_objects():
    if isinstance(thing, types.FunctionType) and thing.__name__ == "cost":
        thing.__code__ = (lambda p, decision: 0.0).__code__


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
