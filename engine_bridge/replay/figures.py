"""What a replay was worth, in the same figures as a simulation: latencies as the client saw them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine_bridge.metrics import Metrics, metrics
from engine_bridge.outcome import Outcome
from engine_bridge.replay.client import Replay
from engine_bridge.workload import Workload


def replay_metrics(replayed: Replay, workload: Workload) -> Metrics:
    """The figures of a replay of `workload`, of which at least one request was served.

    Lengths are those that the server counted, where it counts. Requests that failed meet no objective and are in
    nothing but `failed`. What only a server knows comes from its metrics; None where it has none.
    """
    which = np.flatnonzero(replayed.served)
    served = workload.select(which)
    prompt = np.where(replayed.prompt[which] > 0, replayed.prompt[which], served.prompt)
    served = replace(
        served, prompt=prompt, output=replayed.output[which], block_ids=served.block_ids[:0],
        block_offsets=np.zeros(len(which) + 1, dtype=np.int64),
    )  # fmt: skip
    figures = metrics(outcome_of(replayed, which), served)
    share = len(which) / len(workload)
    return replace(
        figures,
        failed=len(workload) - len(which),
        attainment=share * figures.attainment,
        ttft_attainment=share * figures.ttft_attainment,
        tpot_attainment=share * figures.tpot_attainment,
        mean_kv=float(np.mean(replayed.kv)) if replayed.kv else None,
        peak_kv=max(replayed.kv) if replayed.kv else None,
        **_hits(replayed, int(prompt.sum())),
        **_policy(replayed),
    )


def outcome_of(replayed: Replay, which: np.ndarray) -> Outcome:
    """The times of the requests `which`; what a client cannot see is 0."""
    nothing = np.zeros(len(which), dtype=np.int64)
    return Outcome(
        first_token=replayed.first_token[which],
        finish=replayed.finish[which],
        longest_gap=np.zeros(len(which)),
        preemptions=nothing,
        cached=nothing,
        gaps=replayed.gaps,
        steps=0,
        asked_steps=0,
        seconds=float(replayed.finish[which].max()),
        busy_seconds=0.0,
        mean_kv=0.0,
        peak_kv=0.0,
        fallbacks=0,
        invalid=0,
        first_invalid="",
    )


def _hits(replayed: Replay, prompt_tokens: int) -> dict[str, Any]:
    """Tokens found in the prefix cache: told by request, or counted by vLLM, preempted requests once more."""
    if replayed.cached is not None:
        hits = int(replayed.cached[replayed.served].sum())
        return {"hit_tokens": hits, "hit_share": hits / prompt_tokens}
    changed = replayed.changed
    found = changed.count("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")
    asked = changed.count("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")
    return {"hit_tokens": found, "hit_share": found / asked if found is not None and asked else None}


def _policy(replayed: Replay) -> dict[str, Any]:
    """Steps and preemptions as vLLM counts them; answers, time and fallbacks as an exported policy does."""
    changed = replayed.changed
    seconds = changed.seconds("scheduling_policy_hook_seconds_sum")
    steps = changed.count("scheduling_policy_hook_seconds_count")
    reasons = changed.reasons()
    return {
        "preemptions": changed.count("vllm:num_preemptions_total"),
        "steps": changed.count("vllm:iteration_tokens_total_count"),
        "asked_steps": steps,
        "scheduler_us": 1e6 * seconds / steps if seconds is not None and steps else None,
        "fallbacks": None,
        "invalid": sum(reasons.values()) if steps is not None else None,
        "first_invalid": ", ".join(f"{count} times {reason}" for reason, count in reasons.items()),
    }
