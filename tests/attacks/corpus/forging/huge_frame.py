# Tries to announce an answer of a terabyte; stopped by the largest length of a frame.
# verdict: protocol_error; alone: wire
import os, struct


def order(p):
    os.write(4, struct.pack("<4sIQQ", b"HEUR", 18, 1, 1 << 40))
    return sorted(range(len(p)), key=lambda i: p[i])
