# Tries to find the scorer and try decisions on it; stopped by the process of its own.
# verdict: exception; alone: process
import gc, types


def order(p):
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType) and thing.__name__ == "cost":
            raise RuntimeError(f"PWNED {thing(p, range(len(p)))}")
    raise LookupError("no scorer")
