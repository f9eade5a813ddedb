# Tries to return an object that claims to be complete and is empty; stopped by the copy into an array and the scorer.
# verdict: invalid_decision; alone: scorer
class Order:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(())


def order(p):
    return Order(len(p))
