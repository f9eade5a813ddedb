# Tries to sleep for ever; stopped by the wall limit.
# verdict: wall_timeout; alone: process
import time


def order(p):
    time.sleep(1000)
