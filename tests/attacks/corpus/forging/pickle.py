# Tries to send an object that runs code where it is read; stopped by the frames, which hold numbers only.
# verdict: ok; alone: wire
class Order(list):
    def __reduce__(self):
        return open, (LAB["mark"], "w")


def order(p):
    return Order(sorted(range(len(p)), key=lambda i: p[i]))
