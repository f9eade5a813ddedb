"""The no-queue bound: the least time each request takes for its first token and for the others, whatever the policy.

Alone on an idle machine a request is prefilled in one go and then decodes at batch size 1. No policy is faster in the
simulator's cost model (`engine_bridge.cost`), request by request. With D = fixed + request + linear(1), for a prompt of
p tokens of which at most c can be found in the cache, and an output of o tokens:

    first token − arrival ≥ fixed + request + linear(p − c) + pair · pairs(c, p − c)
    finish − first token  ≥ (o − 1) · D + read · Σ_{x = p+1}^{p+o−1} x,        read = kv, or min(kv, pair)

1. A step never takes less for holding more: `step_seconds` grows in each of its arguments, layer groups apart.
2. Chunks do not help: linear(t) = max(weights + experts(t), token · t) is subadditive, since experts(t) is concave with
   experts(0) = 0, and the maximum of subadditive functions is; query–key pairs add up to the same whatever the chunks;
   each chunk pays fixed and request again. The g steps of a layered prefill pay each part of linear and pair once in
   all, and fixed g times.
3. c: only blocks that another request of the workload has too can be there before the request computes them. Of those
   at the start of its prompt, only full ones count, and the last token is always computed. What a preempted request
   finds of its own it has computed before. Pairs grow when c falls, as does linear.
4. A token after the first comes from a decode step, D + kv · x for a context of x tokens, or, after a preemption, from
   recomputing, which is at least D + pair · x. Nothing is preempted if all requests that can run at a time fit into
   the cache at their largest; then read = kv.

The bound is met with equality by a request that is alone and fits into one step. Rounding: it is lowered by a
billionth, since the simulator adds up thousands of steps.
"""

from __future__ import annotations

import numpy as np

from engine_bridge.cost import EXPERT, EXPERTS, FIXED, KV, PAIR, REQUEST, TOKEN, TOP_K, WEIGHTS
from problems.base import Array, Instance

ROUNDING = 1e-9


def least_times(instance: Instance) -> tuple[Array, Array]:
    """Least seconds from arrival to first token, and from there to the end; two arrays of shape (n,)."""
    prompt, output, cost = instance["prompt"], instance["output"], instance["cost"]
    cached = cacheable(instance)
    new = (prompt - cached).astype(np.float64)
    pairs = new * cached + new * (new + 1) / 2
    step = cost[FIXED] + cost[REQUEST]
    first = step + linear(cost, new) + cost[PAIR] * pairs
    read = cost[KV] if never_preempts(instance) else min(cost[KV], cost[PAIR])
    more = (output - 1).astype(np.float64)
    contexts = more * prompt + more * (more + 1) / 2
    rest = more * (step + linear(cost, np.ones(1))) + read * contexts
    return first * (1 - ROUNDING), rest * (1 - ROUNDING)


def linear(cost: Array, tokens: Array) -> Array:
    """Seconds of the linear layers for at least one token, shape (n,); `cost` is `CostModel.vector`."""
    experts = 0.0
    if cost[EXPERTS] > 0:
        experts = cost[EXPERT] * cost[EXPERTS] * (1.0 - (1.0 - cost[TOP_K] / cost[EXPERTS]) ** tokens)
    return np.asarray(np.maximum(cost[WEIGHTS] + experts, cost[TOKEN] * tokens))


def cacheable(instance: Instance) -> Array:
    """Tokens at the start of each prompt that another request may have left in the cache; shape (n,)."""
    prompt, size = instance["prompt"], int(instance["block_size"])
    if not len(instance["block_ids"]):
        return np.zeros(len(prompt), dtype=np.int64)
    shared = np.array([_leading(each) for each in _ids_shared(instance)]) * int(instance["hash_block"])
    return np.asarray(np.minimum(shared, prompt - 1) // size * size)


def never_preempts(instance: Instance) -> bool:
    """Whether as many requests as may run fit into the KV cache together, each at its largest."""
    peak = -(-(instance["prompt"] + instance["output"]) // int(instance["block_size"]))
    return bool(np.sort(peak)[::-1][: int(instance["max_running"])].sum() <= int(instance["blocks"]))


def _ids_shared(instance: Instance) -> list[Array]:
    """For each request, which of its prefix blocks another request has as well."""
    offsets = instance["block_offsets"]
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    _, kind = np.unique(instance["block_ids"], return_inverse=True)
    users = np.bincount(np.unique(np.stack((kind, owner)), axis=1)[0])
    return np.split(users[kind] > 1, offsets[1:-1])


def _leading(flags: Array) -> int:
    """How many are true before the first that is not."""
    return len(flags) if flags.all() else int(flags.argmin())
