# Tries to find all other instances by walking the garbage collector's lists; stopped by the process of its own.
# verdict: exception; alone: process
import gc


def order(p):
    for thing in gc.get_objects():
        if isinstance(thing, dict) and "instances" in thing and "sources" in thing:
            raise RuntimeError("PWNED " + str(thing["instances"]))
    raise LookupError("nothing on the heap")
