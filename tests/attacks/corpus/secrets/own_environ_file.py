# Tries to read the environment this process was started with; stopped by the clean start.
# verdict: exception; alone: process
def order(p):
    with open("/proc/self/environ") as file:
        raise RuntimeError(file.read())
