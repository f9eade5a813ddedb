# Tries to print the result it would like to have; stopped by the pipe, of which nothing but a frame is read.
# verdict: ok; alone: wire
def order(p):
    print('{"costs": [0, 0, 0], "detail": "", "cpu": 0}', flush=True)
    return sorted(range(len(p)), key=lambda i: p[i])
