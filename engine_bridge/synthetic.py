"""Synthetic workloads fitted to public traces: lengths, burstiness, sessions, shared prefixes. No file is needed.

`conversation` and `code` have the lengths and arrivals of the Azure 2023 traces, which say nothing of prefixes: theirs
share none. `mooncake` has those of the Mooncake conversation trace, and its sessions: two requests in five continue an
earlier one (its prompt, its answer and something new) or go back to a part of it. All its prompts start with one common
block. Like the trace it starts cold, so the first minutes have fewer such requests than the rest.

How well that fits: the trace, then the mean of five seeds with as many requests as the trace.

| workload | prompt: mean, p10, p50, p90, p99 | output: mean, p10, p50, p90, p99 | CV | hits |
|---|---|---|---|---|
| trace: Azure conversation | 1155, 207, 1020, 2734, 4142 | 211, 54, 129, 424, 601 | 1.09 | none |
| `conversation` | 1139, 207, 1013, 2742, 4270 | 213, 54, 129, 424, 606 | 1.05 | none |
| trace: Azure code | 2048, 147, 1469, 5188, 7436 | 28, 7, 13, 55, 251 | 13.15 | none |
| `code` | 2056, 147, 1471, 5194, 7432 | 30, 7, 13, 55, 258 | 7.63 | none |
| trace: Mooncake | 12035, 964, 6909, 27367, 85400 | 343, 24, 350, 597, 1119 | 3.03 | .366 |
| `mooncake` | 12750, 1011, 7098, 29200, 89631 | 343, 24, 349, 595, 1146 | 3.02 | .382 |

CV: standard deviation of the times between arrivals over their mean (Mooncake reports arrivals every three seconds).
hits: share of all prefix blocks that an infinite cache would have; in the trace .387 of the requests have more than
the common block there, here .359.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from engine_bridge.trace_profiles import PROFILES, Array, Profile, draw_arrivals, draw_lengths, draw_quantiles
from engine_bridge.traces import session_groups
from engine_bridge.workload import HASH_BLOCK, Workload, WorkloadError

CLIENTS = 16
"""Clients of a synthetic workload; client c sends a share ∝ 1/(c + 1): chosen, as the traces name no clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What was fitted to the sessions of a trace; quantiles are at `trace_profiles.LEVELS`.

    follow: chance that turn 0, 1, … is followed by another one; the last number holds for all further turns.
    pause: seconds from a turn to the next. opening: tokens of the first prompts.
    added: tokens of a prompt beyond the last turn's prompt and answer; negative if the answer was not all kept.
    edited: share of turns that go back to a part of the last turn's prompt. kept: the share of its blocks they keep.
    rest: tokens they add to those.
    """

    follow: tuple[float, ...]
    pause: tuple[float, ...]
    opening: tuple[int, ...]
    added: tuple[int, ...]
    edited: float
    kept: tuple[float, ...]
    rest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Generator:
    """Lengths and arrivals of one trace and, if it shows any, its sessions."""

    profile: Profile
    sessions: Sessions | None = None


MOONCAKE_SESSIONS = Sessions(
    follow=(0.336, 0.441, 0.574, 0.658, 0.69, 0.694, 0.835),
    pause=(3, 15, 33, 45, 63, 81, 105, 138, 184, 264, 372, 552, 762, 1908, 2803, 3030),
    opening=(891, 894, 897, 905, 1092, 1757, 3913, 5264, 7418, 10771, 15871, 25559, 38494, 89868, 121160, 126195),
    added=(-1291, -305, -21, -4, 7, 11, 16, 26, 52, 172, 694, 4194, 6921, 16705, 37523, 91467),
    edited=0.15,
    kept=(0.015, 0.031, 0.053, 0.068, 0.097, 0.129, 0.167, 0.214, 0.29, 0.4, 0.519, 0.833, 0.906, 0.957, 0.981, 0.986),
    rest=(10, 422, 896, 1773, 4985, 7016, 8542, 9567, 10940, 13680, 15906, 19891, 26341, 39348, 74712, 94968),
)

GENERATORS = {
    "conversation": Generator(PROFILES["azure_conv"]),
    "code": Generator(PROFILES["azure_code"]),
    "mooncake": Generator(PROFILES["mooncake"], MOONCAKE_SESSIONS),
}
"""The synthetic workloads by name."""


def synthetic(name: str, requests: int, seed: int = 0) -> Workload:
    """`requests` requests like those of the trace behind `name`, at its rate; the same seed gives the same.

    Predicted output lengths have the default error; change it by `Workload.with_predictions`.

    Raises:
        WorkloadError: there is no such generator, or no request is asked for.
    """
    if name not in GENERATORS:
        raise WorkloadError(f"no synthetic workload {name}; there are {', '.join(GENERATORS)}")
    if requests < 1:
        raise WorkloadError(f"{requests} requests of {name}: give at least 1")
    generator = GENERATORS[name]
    rng = np.random.default_rng(seed)
    arrival = draw_arrivals(generator.profile, requests, rng)
    prompt, output = draw_lengths(generator.profile, requests, rng)
    clients = draw_clients(requests, rng)
    origin = f"synthetic, fitted to: {generator.profile.source}; seed {seed}"
    if generator.sessions is None:
        return Workload.of(name, arrival, prompt, output, client=clients, origin=origin, seed=seed)
    prompt, blocks = draw_turns(generator.sessions, arrival, output, rng)
    group = session_groups(blocks)
    return Workload.of(
        name,
        arrival,
        prompt,
        output,
        blocks=blocks,
        hash_block=HASH_BLOCK,
        group=group,
        client=clients[group],  # a session has one client
        origin=origin,
        seed=seed,
    )


def draw_clients(n: int, rng: np.random.Generator) -> Array:
    """Client of each of `n` requests, shape (n,), int64."""
    shares = np.cumsum(1 / np.arange(1, CLIENTS + 1))
    return np.searchsorted(shares / shares[-1], rng.random(n)).astype(np.int64)


def draw_turns(
    sessions: Sessions, arrival: Array, output: Array, rng: np.random.Generator
) -> tuple[Array, list[list[int]]]:
    """Prompt lengths, shape (n,), and prefix blocks of requests that arrive at `arrival` and generate `output` tokens.

    A session that has another turn waits for its pause and takes the next arrival then, so the arrivals stay what they
    are; an arrival for which no session is due opens a new one.
    """
    n = len(arrival)
    chance, edit = rng.random(n), rng.random(n) < sessions.edited
    opening, added, rest = (
        draw_quantiles(levels, n, rng, logarithmic=False)
        for levels in (sessions.opening, sessions.added, sessions.rest)
    )
    pause = draw_quantiles(sessions.pause, n, rng, logarithmic=True)
    kept = draw_quantiles(sessions.kept, n, rng, logarithmic=True)
    prompt = np.zeros(n, dtype=np.int64)
    blocks: list[list[int]] = []
    due: list[tuple[float, int, int]] = []  # when, the last turn, the number of the next
    fresh = 1  # block 0 is the preamble
    for request in range(n):
        stays, turn = [0], 0
        if due and due[0][0] <= arrival[request]:
            _, last, turn = heapq.heappop(due)
            if edit[request]:
                stays = blocks[last][: max(2, int(kept[request] * len(blocks[last])))]
                prompt[request] = HASH_BLOCK * len(stays) + rest[request]
            else:
                stays = blocks[last][: prompt[last] // HASH_BLOCK]
                prompt[request] = prompt[last] + max(0, output[last] + added[request])
        else:
            prompt[request] = opening[request]
        prompt[request] = min(prompt[request], sessions.opening[-1])
        more = -(-prompt[request] // HASH_BLOCK) - len(stays)
        blocks.append(stays + list(range(fresh, fresh + more)))
        fresh += more
        if chance[request] < sessions.follow[min(turn, len(sessions.follow) - 1)]:
            heapq.heappush(due, (arrival[request] + pause[request], request, turn + 1))
    return prompt, blocks
