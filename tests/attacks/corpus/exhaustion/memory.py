# Tries to take half a gigabyte at once; stopped by the limit of address space.
# verdict: memory; alone: limits
def order(p):
    hoard = bytearray(500_000_000)
    raise RuntimeError(f"PWNED {len(hoard)}")
