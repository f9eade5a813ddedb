# Tries to compute for ever before it is asked; stopped by the CPU time measured from outside.
# verdict: cpu_limit; alone: process
while True:
    pass
