# Tries to spoil os.write for whoever answers next; stopped by the process of its own, whose lies are its own.
# verdict: protocol_error; alone: process
import os

write = os.write
os.write = lambda fd, data: write(fd, bytes(len(data))) and len(data)


def order(p):
    return sorted(range(len(p)), key=lambda i: p[i])
