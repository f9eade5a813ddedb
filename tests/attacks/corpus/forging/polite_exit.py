# Tries to end by an exception that most forget; stopped by the driver, which catches any.
# verdict: exception; alone: process
import sys


def order(p):
    sys.exit(0)
