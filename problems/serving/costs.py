"""What a service is worth: costs with a positive bound, and figures that have none, from the times of each request."""

from __future__ import annotations

from typing import Literal

import numpy as np

from problems.base import Array, Instance

Objective = Literal["latency", "slo"]

WEIGHTS = (0.5, 0.5)
"""Of TTFT and TPOT in the cost `slo`."""


def cost_of(objective: Objective, instance: Instance, ttft: Array, decoding: Array) -> float:
    """The cost of requests with these seconds from arrival to first token, and from there to the end; shape (n,).

    latency: the mean of the normalised latency, (finish − arrival) / output tokens, in seconds per token (Yu et al.,
    Orca, OSDI 2022; Kwon et al., vLLM, SOSP 2023).
    slo: the mean of ½ · TTFT / its objective + ½ · TPOT / its objective; 1 if every request just meets both.

    Both grow in every one of the times, so a lower bound of each of them gives one of the cost.
    """
    if objective == "latency":
        return float(((ttft + decoding) / instance["output"]).mean())
    wait, pace = ttft / instance["ttft"], tpot_of(instance, decoding) / instance["tpot"]
    return float((WEIGHTS[0] * wait + WEIGHTS[1] * pace).mean())


def tpot_of(instance: Instance, decoding: Array) -> Array:
    """Mean seconds from one output token to the next; 0 for a single token; shape (n,)."""
    return np.asarray(decoding / np.maximum(instance["output"] - 1, 1))


def figures(instance: Instance, ttft: Array, decoding: Array) -> dict[str, float]:
    """Attainment (share of requests that meet both objectives), goodput (those per second), TTFT and TPOT in seconds.

    Goodput counts from the first arrival to the last finish.
    """
    tpot = tpot_of(instance, decoding)
    good = (ttft <= instance["ttft"]) & (tpot <= instance["tpot"])
    finish = instance["arrival"] + ttft + decoding
    several = instance["output"] > 1
    return {
        "attainment": float(good.mean()),
        "goodput": float(good.sum() / (finish.max() - instance["arrival"][0])),
        "ttft_p50": float(np.median(ttft)),
        "ttft_p99": float(np.quantile(ttft, 0.99)),
        "tpot_p50": float(np.median(tpot[several])) if several.any() else 0.0,
        "tpot_p99": float(np.quantile(tpot[several], 0.99)) if several.any() else 0.0,
    }
