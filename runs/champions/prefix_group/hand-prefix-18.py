# Idea: a batch begins in the largest branch with the largest set of sharers that fits whole, and is closed rather than split for nothing.
import numpy as np

SPARE = 1.0


def join_score(request, batch, trie):
    need, free = request.branch_need, batch.free
    if batch.size == 0:
        return -need - 1e-3 * np.where(request.need <= free, request.need, 0.0)
    whole = need <= free
    rest = trie.tokens + trie.kv
    room = SPARE * batch.cap
    if not whole.any() and np.ceil(rest / room) <= np.ceil(max(rest - free, 1.0) / room):
        return np.full(len(need), np.inf)
    split = batch.cap + request.new - request.fair_new - np.where(request.need <= free, request.need, 0.0)
    return np.where(whole, -request.shared - 1e-3 * need, split)
