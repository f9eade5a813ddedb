"""What each paper claims beside what the simulator shows: `python -m tests.benchmarks serving_claims`. A few minutes.

The figures of problems/serving/README.md come from here. Ideal H200 profiles, seeded synthetic workloads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine_bridge.cost import load_profile
from engine_bridge.online import simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import load_policy
from engine_bridge.settings import EngineSettings
from engine_bridge.sources import load_workload
from engine_bridge.workload import Workload
from problems.serving.agents import draw_agents
from problems.serving.instances import PROFILE, decode_iteration

POLICIES = Path(__file__).parents[2] / "problems" / "serving" / "policies"
STRICT, RELAXED = 5.0, 25.0
ITERATION_SECONDS = decode_iteration(load_profile(PROFILE))
HALVINGS = 7


@dataclass(frozen=True, slots=True)
class Run:
    """A workload served by a policy, and the figures claims are made of; times in seconds."""

    workload: Workload
    outcome: Outcome

    @property
    def ttft(self) -> Any:
        """Of each request."""
        return self.outcome.first_token - self.workload.arrival

    @property
    def tbt99(self) -> float:
        """P99 of the times between tokens."""
        seconds, counts = self.outcome.gaps.T
        order = np.argsort(seconds)
        total = np.cumsum(counts[order])
        return float(seconds[order][np.searchsorted(total, 0.99 * total[-1])])

    @property
    def latency(self) -> Any:
        """From arrival to end, of each request."""
        return self.outcome.finish - self.workload.arrival

    @property
    def attainment(self) -> float:
        """Share of requests within both objectives."""
        tpot = (self.outcome.finish - self.outcome.first_token) / np.maximum(self.workload.output - 1, 1)
        return float(((self.ttft <= self.workload.ttft) & (tpot <= self.workload.tpot)).mean())


def serve(name: str, workload: Workload, profile: str = PROFILE, **engine: Any) -> Run:
    """A baseline on a workload."""
    policy = load_policy(POLICIES / f"{name}.py")
    return Run(workload, simulate(workload, policy, EngineSettings(**engine), load_profile(profile), strict=True))


def capacity(fits: Callable[[float], bool], highest: float = 64.0) -> float:
    """The largest rate (requests/s) that fits, to within one in 2^HALVINGS of `highest`."""
    low, high = 0.0, highest
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def conversation() -> Workload:
    """1,000 requests of the conversation workload."""
    return load_workload("conversation", requests=1000).clipped(max_prompt=8192)


def at(workload: Workload, rate: float, factor: float = STRICT) -> Workload:
    """With service levels: TPOT `factor` decode iterations, TTFT `factor` · 200 ms."""
    return workload.scaled(rate).with_slos(0.2 * factor, factor * ITERATION_SECONDS)


def show(claim: str, figures: str) -> None:
    """One line."""
    print(f"{claim:44} {figures}", flush=True)


def sarathi() -> None:
    """Capacity: the largest rate with P99 TBT within the objective and a median TTFT of 2 s."""
    base = conversation()
    for level, factor in (("strict", STRICT), ("relaxed", RELAXED)):
        for name, engine in (("sarathi_512", 2048), ("sarathi_2048", 2048), ("fcfs", 16384)):

            def fits(rate: float, name: str = name, engine: int = engine, factor: float = factor) -> bool:
                run = serve(name, at(base, rate), max_tokens=engine)
                return run.tbt99 <= factor * ITERATION_SECONDS and float(np.median(run.ttft)) <= 2

            show(f"Sarathi-Serve, {level}", f"{name}, steps ≤ {engine}: {capacity(fits):.1f}/s")


def slai() -> None:
    """Median TTFT at some rates; the rate with 90 % within both objectives; the same for FairBatching."""
    base = conversation()
    for rate in (24.0, 28.0, 32.0):
        for name in ("sarathi_512", "slai"):
            run = serve(name, at(base, rate))
            ttft = np.quantile(run.ttft, (0.5, 0.99))
            show(
                f"SLAI, {rate:g}/s",
                f"{name}: TTFT p50 {ttft[0]:.3f} p99 {ttft[1]:.2f} s, TBT p99 {1e3 * run.tbt99:.1f} ms",
            )
    for level, factor in (("strict", STRICT), ("relaxed", RELAXED)):
        for name in ("sarathi_512", "sarathi_2048", "slai", "fairbatching", "sjf_256"):
            rate = capacity(lambda rate, n=name, f=factor: serve(n, at(base, rate, f)).attainment >= 0.9)  # type: ignore[misc]
            show(f"SLAI, FairBatching: 90 % attain, {level}", f"{name}: {rate:.1f}/s")


def layered() -> None:
    """A mixture of experts with long prompts, and a dense model with conversations."""
    long = load_workload("mooncake", requests=300).clipped(max_prompt=16384)
    for profile, base, rate in (("h200-qwen3-30b-a3b", long, 2.0), (PROFILE, conversation(), 24.0)):
        for name in ("sarathi_512", "sarathi_2048", "layered_prefill"):
            run = serve(name, at(base, rate, RELAXED), profile)
            figures = f"TTFT p50 {np.median(run.ttft):.3f} s, E2E mean {run.latency.mean():.2f} s"
            show(f"layered prefill, {profile}", f"{name}: {figures}, TBT p99 {1e3 * run.tbt99:.1f} ms")


def offline() -> None:
    """All requests there at once: BatchLLM and NanoFlow."""
    for what, base in (("agents", draw_agents(1000)), ("conversation", conversation())):
        crowd = replace(base, arrival=np.zeros(len(base)))
        for blocks in (12_000, 4_000):
            for name in ("fcfs", "lpm", "batchllm", "nanoflow"):
                end = serve(name, crowd, blocks=blocks, window=1024).outcome.seconds
                show(f"offline, {what}, {blocks} blocks", f"{name}: {end:.1f} s, {len(base) / end:.1f}/s")


def mixed(rate: float) -> Workload:
    """Short chats that want a first token within .25 s, and one long prompt in nine that has 6 s."""
    chats = load_workload("conversation", requests=800).clipped(max_prompt=2048).scaled(rate * 8 / 9)
    longs = load_workload("mooncake", requests=100).clipped(max_prompt=32768).scaled(rate / 9)
    names = ("arrival", "prompt", "output", "predicted")
    arrival, prompt, output, predicted = (np.concatenate((getattr(chats, x), getattr(longs, x))) for x in names)
    return Workload.of(
        "mixed",
        arrival,
        prompt,
        output,
        predicted=predicted,
        ttft=np.repeat([0.25, 6.0], [len(chats), len(longs)]),
        tpot=np.full(len(arrival), RELAXED * ITERATION_SECONDS),
    )


def flowprefill() -> None:
    """The rate with 90 % within both objectives, on the mixed workload."""
    for name in ("fcfs", "sarathi_512", "slai", "flowprefill"):
        rate = capacity(lambda rate, n=name: serve(n, mixed(rate)).attainment >= 0.9)  # type: ignore[misc]
        show("FlowPrefill: 90 % attain, mixed", f"{name}: {rate:.1f}/s")


def memory() -> None:
    """FastSwitch with two priorities and LayerKV, where memory runs out."""
    urgent = np.random.default_rng(0).integers(0, 2, 1000)
    crowd = replace(at(conversation(), 28.0, RELAXED), priority=urgent)
    for name in ("fcfs", "fastswitch"):
        run = serve(name, crowd, blocks=6000)
        for level in (0, 1):
            its = urgent == level
            gap = np.quantile(run.outcome.longest_gap[its], 0.99)
            figures = f"TTFT p99 {np.quantile(run.ttft[its], 0.99):.2f} s, longest gap p99 {gap:.2f} s"
            show(
                f"FastSwitch, 28/s, priority {level}",
                f"{name}: {figures}, {run.outcome.preemptions[its].sum()} preemptions",
            )
    for name in ("fcfs", "layerkv"):
        run = serve(name, at(conversation(), 32.0), blocks=12_000)
        figures = f"TTFT mean {run.ttft.mean():.2f} s, attainment {run.attainment:.3f}"
        show("LayerKV, 32/s", f"{name}: {figures}, {run.outcome.preemptions.sum()} preemptions")


def orders() -> None:
    """SJF on conversations, LPM on agents' calls: near and beyond what the engine can serve."""
    for rate in (28.0, 32.0, 36.0):
        for name in ("fcfs", "sjf"):
            run = serve(name, at(conversation(), rate), blocks=12_000)
            figures = f"normalised latency {1e3 * (run.latency / run.workload.output).mean():.1f} ms/token"
            show(f"SJF, {rate:g}/s", f"{name}: {figures}, TTFT p99 {np.quantile(run.ttft, 0.99):.1f} s")
    for rate in (16.0, 20.0):
        for name in ("fcfs", "lpm"):
            run = serve(name, at(draw_agents(1000), rate), blocks=12_000)
            hits = run.outcome.cached.sum() / run.workload.prompt.sum()
            show(f"LPM, {rate:g}/s", f"{name}: TTFT p50 {1e3 * np.median(run.ttft):.0f} ms, hits {hits:.3f}")


def main() -> None:
    """Print every figure."""
    for part in (sarathi, slai, layered, offline, flowprefill, memory, orders):
        part()


if __name__ == "__main__":
    main()
