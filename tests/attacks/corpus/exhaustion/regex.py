# Tries to have a regular expression compute for ever; stopped by the CPU time measured from outside.
# verdict: cpu_limit; alone: process
import re


def order(p):
    re.match("(a+)+$", "a" * 60 + "b")
