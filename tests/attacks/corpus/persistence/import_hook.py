# Tries to answer the imports of the next candidate; stopped by the process of its own.
# verdict: ok; alone: process
import sys, types


class Finder:
    def find_spec(self, name, path=None, target=None):
        raise ImportError("mine now")


sys.meta_path.insert(0, Finder)
sys.modules.pop("heapq", None)


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
