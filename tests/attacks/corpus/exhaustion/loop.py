# Tries to compute for ever; stopped by the CPU time measured from outside.
# verdict: cpu_limit; alone: process
def order(p):
    while True:
        pass
