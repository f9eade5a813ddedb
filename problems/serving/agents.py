"""A synthetic family that no trace stands behind: calls of agents, each with one of some long common prompts.

`AGENTS` agents have a common prompt (instructions, tools, examples) of 2,048 to 8,192 tokens each, in all more than the
KV cache holds; agent k makes a share ∝ 1/(k + 1) of the calls. A call adds what is new, a quarter of a prompt of the
Azure conversation trace, and generates as much as the code trace does. Arrivals are those of the conversation trace.
"""

from __future__ import annotations

import numpy as np

from engine_bridge.trace_profiles import PROFILES, draw_arrivals, draw_lengths
from engine_bridge.workload import HASH_BLOCK, Workload

AGENTS = 64
LEAST, MOST = 4, 16
"""Prefix blocks of a common prompt."""
SHARE = 4
"""New tokens of a call: one for so many of the trace's prompt."""


def draw_agents(requests: int, seed: int = 0) -> Workload:
    """`requests` calls at the rate of the conversation trace; the same seed gives the same."""
    rng = np.random.default_rng((seed, 0xA6))
    arrival = draw_arrivals(PROFILES["azure_conv"], requests, rng)
    new, _ = draw_lengths(PROFILES["azure_conv"], requests, rng)
    _, output = draw_lengths(PROFILES["azure_code"], requests, rng)
    lengths = LEAST + np.floor(rng.random(AGENTS) * (MOST - LEAST + 1)).astype(np.int64)
    shares = np.cumsum(1 / np.arange(1, AGENTS + 1))
    agent = np.searchsorted(shares / shares[-1], rng.random(requests)).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    return Workload.of(
        "agents",
        arrival,
        HASH_BLOCK * lengths[agent] + -(-new // SHARE),
        output,
        blocks=[list(range(starts[each], starts[each] + lengths[each])) for each in agent],
        group=agent,
        seed=seed,
        origin=f"synthetic, {AGENTS} agents with a common prompt each; seed {seed}",
    )
