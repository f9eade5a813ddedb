"""Sorted-F: batches of least F(X) = Σ o_i / |X|², one after another, each in order of output length.

Source: M. Wang, Y. Ye and Z. Zhou (2025), LLM serving optimization with variable prefill and decode lengths, arXiv
2508.06133: of the batches X whose memory fits, the one of least F comes first, then the one of least F of the rest, and
so on.
Tag: inspired by Sorted-F
Deviations: batches are formed from what waits at each call, and the score is the place in the resulting order, with
which admission goes on beside what runs. A batch is the longest prefix that fits, if all of it starts at once in an
empty cache, of an order by o + w·peak for the weights w below: the best subsets for a price of memory, instead of all
subsets (the exact minimum is hard). Only the first four batches are formed; the rest follows in order of area.
"""

from typing import Any

import numpy as np

WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 10.0)
BATCHES = 4


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its place in the order of batches."""
    score: np.ndarray = requests.area + 1e6
    rest = np.arange(len(score))
    place = 0
    for _ in range(BATCHES):
        if not len(rest):
            break
        chosen = best_batch(requests, rest, state.capacity)
        chosen = chosen[np.argsort(requests.output[chosen], kind="stable")]
        score[chosen] = np.arange(place, place + len(chosen))
        place += len(chosen)
        rest = np.setdiff1d(rest, chosen)
    return score


def best_batch(requests: Any, rest: np.ndarray, capacity: float) -> np.ndarray:
    """Of the prefixes that fit, over all weights, the one of least F."""
    best, least = rest[:1], np.inf
    for weight in WEIGHTS:
        key = requests.output[rest] + weight * requests.peak[rest]
        order = rest[np.argsort(key, kind="stable")]
        count = fitting(requests.prompt[order], requests.output[order], capacity)
        f = np.cumsum(requests.output[order[:count]]) / np.arange(1, count + 1) ** 2
        size = int(np.argmin(f)) + 1
        if f[size - 1] < least:
            best, least = order[:size], f[size - 1]
    return best


def fitting(prompt: np.ndarray, output: np.ndarray, capacity: float) -> int:
    """How many of the first requests fit if they start together; memory peaks in some request's last round."""
    low, high = 1, len(prompt)
    while low < high:
        count = (low + high + 1) // 2
        order = np.argsort(output[:count], kind="stable")
        ends = output[order]
        still = np.cumsum(prompt[order][::-1])[::-1] + ends * np.arange(count, 0, -1)
        first = np.searchsorted(ends, ends, side="left")
        low, high = (count, high) if (still[first] <= capacity).all() else (low, count - 1)
    return low
