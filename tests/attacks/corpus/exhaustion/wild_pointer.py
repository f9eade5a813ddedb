# Tries to read where there is no memory; stopped by the process of its own.
# verdict: crash; alone: process
import ctypes


def order(p):
    ctypes.string_at(1)
