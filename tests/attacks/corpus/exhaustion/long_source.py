# Tries to have ten megabytes compiled; stopped by the limit of the source.
# verdict: bad_source; alone: wire
def order(p):
    raise RuntimeError("PWNED")


# FILL
