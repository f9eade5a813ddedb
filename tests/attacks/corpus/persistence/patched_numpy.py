# Tries to spoil NumPy for the next candidate; stopped by the process of its own.
# verdict: ok; alone: process
import numpy

argsort = numpy.argsort


def order(p):
    numpy.argsort = lambda values, **options: numpy.arange(len(values))
    return argsort(p)
