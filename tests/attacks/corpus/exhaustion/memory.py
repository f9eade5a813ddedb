# Tries to take more memory than it was given, at once; stopped by the limit of address space.
# verdict: memory; alone: limits
def order(p):
    hoard = bytearray(200_000_000)
    raise RuntimeError(f"PWNED {len(hoard)}")
