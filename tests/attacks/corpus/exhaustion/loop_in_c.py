# Tries to compute for ever where Python cannot be interrupted; stopped by the CPU time measured from outside.
# verdict: cpu_limit; alone: process
def order(p):
    return sum(range(10**13))
