# Tries to ignore every signal and compute for ever; stopped by the CPU time measured from outside.
# verdict: cpu_limit; alone: process
import signal


def order(p):
    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass
    while True:
        pass
