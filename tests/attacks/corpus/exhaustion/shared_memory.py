# Tries to take memory that is not its own; stopped by the limit of address space.
# verdict: exception; alone: limits
import mmap


def order(p):
    hoard = mmap.mmap(-1, 200_000_000)
    hoard[::4096] = bytes(len(hoard[::4096]))
    raise RuntimeError(f"PWNED {len(hoard)}")
