# Tries to send the result it would like to have, in both tongues; stopped by the frame's number and the scorer.
# verdict: protocol_error; alone: wire
import os, pickle, struct


def order(p):
    os.write(4, pickle.dumps({"costs": [0.0, 0.0, 0.0], "detail": "", "cpu": 0.0}))
    os.write(4, struct.pack("<4sIQQ", b"HEUR", 18, 1, 0))
    return sorted(range(len(p)), key=lambda i: p[i])
