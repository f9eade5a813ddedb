# Tries to drown its evaluator in output; stopped by the pipe, of which nothing but a frame is read.
# verdict: ok; alone: wire
def order(p):
    print("{}\n" * 100_000, flush=True)
    return sorted(range(len(p)), key=lambda i: p[i])
