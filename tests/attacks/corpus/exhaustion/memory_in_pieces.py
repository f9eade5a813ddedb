# Tries to take memory in small pieces; stopped by the limit of address space.
# verdict: memory; alone: limits
def order(p):
    hoard = [bytes(100_000) for _ in range(2000)]
    raise RuntimeError(f"PWNED {len(hoard)}")
