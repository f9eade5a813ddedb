# Tries to read the API key in the environment; stopped by the clean start.
# verdict: exception; alone: process
import os


def order(p):
    raise RuntimeError(os.environ["API_KEY"])
