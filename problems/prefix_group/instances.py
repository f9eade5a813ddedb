"""Seeded instances of prefix grouping: three families of prefix tries.

`sessions`: the sharing of a public trace of conversations; the parameters below were measured on Mooncake's
`FAST25-release/traces/conversation_trace.jsonl` (12,031 requests; Qin et al., FAST'25), whose block hashes (512 tokens
a block) tell which prompts share a prefix. Whole sessions are drawn, as when a log is worked off offline.
`fewshot`: applications with a system prompt, few-shot templates under each, a short question of its own per request.
`tree`: prompts that grow by branching on several levels, as in tree search and agent traces.

The last two are synthetic: their ranges are ours, not fitted to anything.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np

from problems.base import Instance

BLOCK = 512
"""Tokens of the block that all prompts of the trace share, and grain of its sharing."""
PAGE = 16
"""Tokens of a page of KV memory, the unit of the family `sessions`."""
STOP = (0.694, 0.58, 0.489, 0.413, 0.412, 0.329)
"""Share of the trace's sessions of at least 1, 2 … requests that have no further one; the last holds from there on."""
SINGLE, FIRST, TURN, ANSWER = (8.387, 1.318), (8.787, 1.084), (6.970, 1.711), (5.336, 1.358)
"""Mean and deviation of the logarithm: prompt of a session of one request, first prompt of a longer one, tokens a
later turn adds, tokens of an answer; all measured on the trace."""
WHOLE = 0.853
"""How often a later turn shares all full blocks of the turn before; else a part of them, drawn evenly to 60 %."""
LONGEST = 32_768
"""Prompts of the trace that are longer (its longest tenth) are drawn again."""


class Growing:
    """A trie while it is drawn; `unit`: tokens to which its lengths are counted, rounded up."""

    def __init__(self, unit: int = 1) -> None:
        self.unit = unit
        self.parent: list[int] = []
        self.tokens: list[int] = []
        self.leaf: list[int] = []
        self.kv: list[int] = []

    def node(self, parent: int, tokens: float) -> int:
        """A new node; its number."""
        self.parent.append(parent)
        self.tokens.append(max(1, math.ceil(tokens / self.unit)))
        return len(self.parent) - 1

    def request(self, leaf: int, kv: float) -> None:
        """A new request."""
        self.leaf.append(leaf)
        self.kv.append(max(1, math.ceil(kv / self.unit)))


def sessions(rng: np.random.Generator, n: int) -> Growing:
    """Conversations, in pages of 16 tokens: each turn's prompt repeats the full blocks of the one before it."""
    trie = Growing(PAGE)
    root = trie.node(-1, BLOCK)
    while len(trie.leaf) < n:
        _session(trie, root, rng, n)
    return trie


def _session(trie: Growing, root: int, rng: np.random.Generator, n: int) -> None:
    turns = 1
    while rng.random() > STOP[min(turns, len(STOP)) - 1]:
        turns += 1
    length = _prompt(rng, *(SINGLE if turns == 1 else FIRST))
    path = [root]  # nodes that the next turn may repeat
    repeated = BLOCK
    for turn in range(min(turns, n - len(trie.leaf))):
        if turn:
            added = rng.lognormal(*TURN)
            if repeated + added > LONGEST:
                return
            length = repeated + added
        full = max(repeated, int(length) // BLOCK * BLOCK)
        if turn + 1 < turns and full > repeated:
            keep = (
                full
                if rng.random() < WHOLE
                else repeated + BLOCK * int(rng.uniform(0, 0.6) * (full - repeated) / BLOCK)
            )
            if keep > repeated:
                path.append(trie.node(path[-1], keep - repeated))
                repeated = keep
        trie.request(trie.node(path[-1], length - repeated), min(rng.lognormal(*ANSWER), 2000))


def _prompt(rng: np.random.Generator, mean: float, deviation: float) -> float:
    while True:
        length = float(rng.lognormal(mean, deviation))
        if BLOCK < length <= LONGEST:
            return length


def fewshot(rng: np.random.Generator, n: int) -> Growing:
    """Applications, templates and questions; templates are used with Zipf frequencies."""
    trie = Growing()
    templates = []
    for _ in range(int(rng.integers(2, 5 + n // 50, endpoint=True))):
        system = trie.node(-1, rng.uniform(200, 2000))
        templates += [trie.node(system, rng.uniform(500, 4000)) for _ in range(int(rng.integers(1, 5, endpoint=True)))]
    weight = 1 / np.arange(1, len(templates) + 1)
    for choice in rng.choice(rng.permutation(templates), size=n, p=weight / weight.sum()):
        trie.request(trie.node(int(choice), rng.lognormal(5, 0.7)), min(rng.lognormal(4.8, 0.8), 2000))
    return trie


def tree(rng: np.random.Generator, n: int) -> Growing:
    """Branches of two to four on several levels, until there are n leaves."""
    trie = Growing()
    roots = max(1, n // 25)
    tips = [trie.node(-1, rng.uniform(300, 1500)) for _ in range(roots)]
    inner = set()
    while len(tips) < n:
        tip = tips.pop(int(rng.integers(len(tips))))
        inner.add(tip)
        children = min(int(rng.integers(2, 4, endpoint=True)), n - len(tips))
        tips += [trie.node(tip, rng.lognormal(6, 0.8)) for _ in range(children)]
    for tip in tips:
        trie.request(tip, min(rng.lognormal(5, 0.7), 2000))
    return trie


FAMILIES: dict[str, Callable[[np.random.Generator, int], Growing]] = {
    "sessions": sessions,
    "fewshot": fewshot,
    "tree": tree,
}


def generate(split: str, family: str, n: int, index: int) -> Instance:
    """One instance of n requests, the same for the same arguments on every machine.

    The KV cap is all tokens (every node once, and every request's own) divided by 3 to 8 for n ≤ 30, by 6 to 30 for
    more, but at least twice the largest request; F is 1 to 20 % of the cap. Both are drawn evenly on a log scale.
    """
    key = hashlib.sha256(f"prefix_group {split} {family} {n} {index}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(key))))
    trie = FAMILIES[family](rng, n)
    order = rng.permutation(n)
    parent, tokens = np.array(trie.parent), np.array(trie.tokens)
    leaf, kv = np.array(trie.leaf)[order], np.array(trie.kv)[order]
    depth = tokens.copy()
    for node, above in enumerate(trie.parent):
        if above >= 0:
            depth[node] += depth[above]
    batches = math.exp(rng.uniform(*np.log((3, 8) if n <= 30 else (6, 30))))
    cap = max(round(int(tokens.sum() + kv.sum()) / batches), 2 * int((depth[leaf] + kv).max()))
    fixed = max(1, round(cap * math.exp(rng.uniform(*np.log((0.01, 0.2))))))
    arrays = {"parent": parent, "tokens": tokens, "leaf": leaf, "kv": kv, "M": np.array(cap), "F": np.array(fixed)}
    arrays = {name: array.astype(np.int64) for name, array in arrays.items()}
    return Instance(f"{split}-{family}-n{n}-{index}", arrays, classes=(family, f"n={n}"))
