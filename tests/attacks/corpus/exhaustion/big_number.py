# Tries to compute a number of a hundred million digits; stopped by the CPU time measured from outside.
# verdict: cpu_limit; alone: process
def order(p):
    return [pow(7, 10**8) % 2]
