# Tries to decide by how often it was asked; stopped by asking again in another order.
# verdict: invalid_decision; accepted; alone: repeat
calls = 0


def order(p):
    global calls
    calls += 1
    return sorted(range(len(p)), key=lambda i: p[i] * (-1) ** calls)
