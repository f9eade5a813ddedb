# Tries to answer questions that were not put yet; stopped by the frame that must be all there is.
# verdict: protocol_error; alone: wire
import os, struct


def order(p):
    answer = struct.pack("<BBQ4q", 0, 1, 4, 3, 1, 0, 2)
    heads = [struct.pack("<4sIQQ", b"HEUR", 18, number, len(answer)) for number in (1, 2, 3)]
    os.write(4, b"".join(head + answer for head in heads))
    return sorted(range(len(p)), key=lambda i: p[i])
