# Tries to end as if all were well; stopped by the answer that must come.
# verdict: protocol_error; alone: process
import os


def order(p):
    os._exit(0)
