"""What a run was worth: latencies, service levels, throughput and the engine's use, from its outcome.

    outcome = simulate(workload, policy, settings, cost)
    metrics(outcome, workload).ttft.p99

Of each request: TTFT = first token − arrival; E2E = finish − arrival; TPOT = (finish − first token) / (output − 1), its
mean time per token after the first, which a request with one token does not have. TBT is every single time between two
tokens of one request, so that a stall shows which the mean of a long output hides. All in seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.outcome import Outcome
from engine_bridge.workload import Workload

Array = NDArray[Any]

SERVICE_WEIGHTS = (1.0, 2.0)
"""Service that a prompt token and an output token count as (Sheng et al., Fairness in Serving LLMs, OSDI 2024)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and percentiles of times, in seconds; percentiles interpolate linearly between neighbours."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The figures of one run; None where nothing is defined. The span: seconds from first arrival to last finish.

    ttft, e2e: over requests, seconds. tpot: over requests with two tokens or more, seconds. tbt: over all times between
    two tokens of a request, seconds.
    normalised: E2E over output tokens, over requests, seconds (the normalised latency of Yu et al., Orca, OSDI 2022).
    strain: mean over requests of ½ · TTFT / its objective + ½ · TPOT / its objective, 1 if each just meets both; None
    unless all have both.
    attainment: share of requests with TTFT ≤ its objective and TPOT ≤ its objective; ttft_attainment and
    tpot_attainment: with the one or the other. A single token meets any TPOT.
    goodput: requests that meet both, per second of the span. request_throughput: requests per second of the span.
    output_throughput, total_throughput: output tokens, and prompt and output tokens, per second of the span.
    hit_tokens: prompt tokens found in the prefix cache at the first admission; hit_share: those over all prompt tokens.
    preemptions: how often a request lost its KV.
    mean_kv, peak_kv: share of the KV blocks held, over the busy time.
    fairness: largest over smallest service rate among clients (1 is even), which is Σ service / Σ E2E over a client's
    requests; None for a single client. The service of a request is given, or prompt + 2 · output tokens.
    scheduler_us: wall time of the policy's answers per step in which it was asked, µs; None if it was not measured or
    never asked. It is noisy, and for a sealed policy the way to its process and back is part of it.
    fallbacks: steps done again as FCFS. invalid: answers that were none; first_invalid: what was wrong with the first.
    requests, steps, asked_steps, seconds: how many, and the span. failed: requests that a live server did not serve;
    they meet no objective, and are in no other figure.
    What a live server does not tell is None.
    """

    requests: int
    seconds: float
    ttft: Spread
    tpot: Spread | None
    tbt: Spread | None
    e2e: Spread
    normalised: Spread
    strain: float | None
    attainment: float
    ttft_attainment: float
    tpot_attainment: float
    goodput: float
    request_throughput: float
    output_throughput: float
    total_throughput: float
    hit_tokens: int | None
    hit_share: float | None
    preemptions: int | None
    mean_kv: float | None
    peak_kv: float | None
    fairness: float | None
    scheduler_us: float | None
    steps: int | None
    asked_steps: int | None
    fallbacks: int | None
    invalid: int | None
    first_invalid: str
    failed: int = 0

    def as_json(self) -> dict[str, Any]:
        """All fields, spreads as objects."""
        return asdict(self)


def metrics(
    outcome: Outcome, workload: Workload, policy_seconds: float | None = None, service: Array | None = None
) -> Metrics:
    """The figures of a run of `workload`.

    Args:
        outcome: what `simulate` returned for it.
        workload: the same requests, with the service levels to judge by.
        policy_seconds: wall time that the policy's answers took (`timing.Timed`).
        service: what each request's service counts as for fairness, shape (n,).

    Raises:
        ValueError: the outcome is of another number of requests.
    """
    if len(outcome.finish) != len(workload):
        raise ValueError(f"the outcome is of {len(outcome.finish)} requests, the workload has {len(workload)}")
    ttft, e2e = outcome.first_token - workload.arrival, outcome.finish - workload.arrival
    tpot = time_per_token(outcome, workload)
    several = workload.output > 1
    soon, fast = ttft <= workload.ttft, tpot <= workload.tpot
    span = float(outcome.finish.max() - workload.arrival[0])
    prompts, outputs = int(workload.prompt.sum()), int(workload.output.sum())
    hits = int(outcome.cached.sum())
    return Metrics(
        requests=len(workload),
        seconds=span,
        ttft=spread(ttft),
        tpot=spread(tpot[several]) if several.any() else None,
        tbt=spread(outcome.gaps[:, 0], outcome.gaps[:, 1]) if outcome.gaps.sum() else None,
        e2e=spread(e2e),
        normalised=spread(e2e / workload.output),
        strain=_strain(ttft, tpot, workload),
        attainment=float((soon & fast).mean()),
        ttft_attainment=float(soon.mean()),
        tpot_attainment=float(fast.mean()),
        goodput=float((soon & fast).sum()) / span,
        request_throughput=len(workload) / span,
        output_throughput=outputs / span,
        total_throughput=(prompts + outputs) / span,
        hit_tokens=hits,
        hit_share=hits / prompts,
        preemptions=int(outcome.preemptions.sum()),
        mean_kv=outcome.mean_kv,
        peak_kv=outcome.peak_kv,
        fairness=fairness(outcome, workload, service),
        scheduler_us=_per_step(policy_seconds, outcome.asked_steps),
        steps=outcome.steps,
        asked_steps=outcome.asked_steps,
        fallbacks=outcome.fallbacks,
        invalid=outcome.invalid,
        first_invalid=outcome.first_invalid,
    )


def time_per_token(outcome: Outcome, workload: Workload) -> Array:
    """TPOT of each request in seconds, shape (n,): (finish − first token) / (output − 1); 0 for a single token."""
    return np.asarray((outcome.finish - outcome.first_token) / np.maximum(workload.output - 1, 1))


def _strain(ttft: Array, tpot: Array, workload: Workload) -> float | None:
    """`Metrics.strain`; an infinite objective is none."""
    if not (np.isfinite(workload.ttft).all() and np.isfinite(workload.tpot).all()):
        return None
    return float((0.5 * ttft / workload.ttft + 0.5 * tpot / workload.tpot).mean())


def spread(values: Array, counts: Array | None = None) -> Spread:
    """Mean and percentiles of `values`, each of which stands `counts` times; both of shape (n,), n ≥ 1.

    The percentile q is at position q · (N − 1) of the N sorted values, as with `numpy.quantile`.
    """
    order = np.argsort(values, kind="stable")
    weights = np.ones(len(order)) if counts is None else counts[order]
    ends = np.cumsum(weights)
    places = np.array([0.5, 0.9, 0.99]) * (ends[-1] - 1)
    low, high = (values[order][np.searchsorted(ends, whole(places), side="right")] for whole in (np.floor, np.ceil))
    quantiles = low + (high - low) * (places - np.floor(places))
    return Spread(float(values[order] @ weights / ends[-1]), *map(float, quantiles))


def fairness(outcome: Outcome, workload: Workload, service: Array | None = None) -> float | None:
    """Largest over smallest service rate among clients; None for a single client.

    In a run that serves all, what each client gets in all is given by the workload; so the rate counts, at which the
    client was served while it had requests: Σ service / Σ E2E. Tokens of prompts and outputs take unlike times, so that
    clients with unlike requests have unlike rates on an idle engine too; with the seconds that each request would take
    alone as its service, an idle engine is even.
    """
    clients, which = np.unique(workload.client, return_inverse=True)
    if len(clients) < 2:
        return None
    if service is None:
        service = SERVICE_WEIGHTS[0] * workload.prompt + SERVICE_WEIGHTS[1] * workload.output
    rates = np.bincount(which, service) / np.bincount(which, outcome.finish - workload.arrival)
    return float(rates.max() / rates.min())


def _per_step(policy_seconds: float | None, asked_steps: int) -> float | None:
    """Microseconds per step asked."""
    return None if policy_seconds is None or not asked_steps else 1e6 * policy_seconds / asked_steps
