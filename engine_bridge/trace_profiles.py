"""Synthetic requests whose lengths and arrivals are fitted to public traces; the traces themselves are not needed.

Lengths: the trace's quantiles at `LEVELS`, interpolated on a logarithmic scale. Prompt and output are drawn apart: in
all three traces their rank correlation is below .08 in size. Arrivals: bursts start as a Poisson process; a burst has
a geometric number of requests with mean `burst`, each at an exponential distance with mean `spread` seconds from its
start (a Neyman–Scott cluster process). The index of dispersion of its counts in windows of w seconds is
1 + 2(burst − 1)·g(w/spread) with g(x) = 1 − (1 − e^(−x))/x, to which both were fitted.

How well that fits, trace against 200,000 draws (lengths) or 20 runs as long as the trace (arrivals):

| profile | prompt: mean, KS distance | output: mean, KS distance | dispersion in 1, 10, 60 s |
|---|---|---|---|
| azure_conv | 1155 : 1135, .070 | 211 : 213, .029 | 1.4, 3.9, 16.1 : 1.3, 3.9, 15.5 |
| azure_code | 2048 : 2062, .030 | 27.9 : 29.8, .039 | 13.2, 71.6, 164 : 11.1, 75.1, 163 |
| mooncake | 12035 : 12239, .016 | 343 : 344, .013 | 7.9, 2.1, 2.9 : 8.1, 2.4, 2.7 |

KS: the largest distance between the two distribution functions; .07 comes from single prompt lengths that are common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEVELS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
"""The levels of the quantiles that a profile gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was fitted to one trace.

    prompt, output: quantiles of the lengths in tokens, at `LEVELS`.
    rate: requests per second on average. burst, spread: see above, requests and seconds.
    tick: seconds between the moments at which arrivals are reported; 0 for none.
    """

    source: str
    prompt: tuple[int, ...]
    output: tuple[int, ...]
    rate: float
    burst: float
    spread: float
    tick: float = 0.0


PROFILES = {
    "azure_conv": Profile(
        source="Azure LLM inference trace 2023, conversation (CC-BY 4.0; Patel et al., Splitwise, ISCA 2024)",
        prompt=(2, 29, 181, 207, 387, 403, 703, 1020, 1071, 1130, 1315, 2734, 4083, 4142, 6179, 14050),
        output=(7, 16, 41, 54, 77, 91, 103, 129, 177, 384, 400, 424, 451, 601, 954, 1000),
        rate=5.53,
        burst=26,
        spread=80,
    ),
    "azure_code": Profile(
        source="Azure LLM inference trace 2023, code (CC-BY 4.0; Patel et al., Splitwise, ISCA 2024)",
        prompt=(3, 17, 75, 147, 386, 770, 1075, 1469, 1909, 2433, 3192, 5188, 7303, 7436, 7437, 7437),
        output=(6, 6, 6, 7, 8, 9, 11, 13, 16, 20, 29, 55, 90, 251, 825, 1899),
        rate=2.57,
        burst=96,
        spread=9,
    ),
    "mooncake": Profile(
        source="Mooncake conversation trace (Apache-2.0; Qin et al., FAST 2025)",
        prompt=(891, 894, 901, 964, 1662, 3263, 4993, 6909, 9570, 13196, 17869, 27367, 39550, 85400, 121301, 126195),
        output=(1, 3, 10, 24, 100, 213, 291, 350, 399, 447, 504, 597, 698, 1119, 2000, 2000),
        rate=3.40,
        burst=2,
        spread=10,
        tick=3,
    ),
}


def draw_lengths(profile: Profile, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Prompt and output lengths of `n` requests, in tokens ≥ 1; two int64 arrays of shape (n,)."""
    prompt, output = (
        np.rint(draw_quantiles(quantiles, n, rng)).astype(np.int64) for quantiles in (profile.prompt, profile.output)
    )
    return prompt, output


def draw_quantiles(quantiles: Sequence[float], n: int, rng: np.random.Generator, *, logarithmic: bool = True) -> Array:
    """`n` draws from the distribution with these quantiles at `LEVELS`, interpolated between; shape (n,), float64."""
    levels = rng.random(n)
    if not logarithmic:
        return np.interp(levels, LEVELS, quantiles)
    return np.asarray(np.exp(np.interp(levels, LEVELS, np.log(quantiles))))


def draw_arrivals(profile: Profile, n: int, rng: np.random.Generator) -> Array:
    """Arrival times of `n` requests in seconds, ascending, the first at 0; shape (n,)."""
    if n == 0:
        return np.zeros(0)
    # Bursts begin well before the first arrival kept, or the bursts under way at that moment would be missing.
    start, end = -8 * profile.spread, 2 * n / profile.rate + profile.spread
    while True:
        arrivals = _arrivals(profile, start, end, rng)
        if len(arrivals) >= n:
            break
        end *= 2
    arrivals = arrivals[:n]
    if profile.tick:
        arrivals = np.floor(arrivals / profile.tick) * profile.tick
    return np.asarray(arrivals - arrivals[0])


def _arrivals(profile: Profile, start: float, end: float, rng: np.random.Generator) -> Array:
    """The arrivals after time 0 of all bursts that begin between `start` and `end`, ascending."""
    mean_gap = profile.burst / profile.rate
    begins: list[float] = []
    at = start
    while (at := at + _exponential(rng, 1)[0] * mean_gap) < end:
        begins.append(at)
    # Uniform numbers only: NumPy may change how it draws from other distributions.
    sizes = 1 + np.floor(np.log1p(-rng.random(len(begins))) / np.log1p(-1 / profile.burst)).astype(np.int64)
    arrivals = np.repeat(begins, sizes) + _exponential(rng, int(sizes.sum())) * profile.spread
    return np.sort(arrivals[(arrivals >= 0) & (arrivals < end)])


def _exponential(rng: np.random.Generator, count: int) -> Array:
    """Exponential variates with mean 1."""
    return np.asarray(-np.log1p(-rng.random(count)))
