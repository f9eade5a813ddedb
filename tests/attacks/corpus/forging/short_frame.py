# Tries to end in the middle of an answer; stopped by the exact length of a frame.
# verdict: protocol_error; alone: wire
import os, struct


def order(p):
    os.write(4, struct.pack("<4sIQQ", b"HEUR", 18, 1, 1000) + b"short")
    os._exit(0)
