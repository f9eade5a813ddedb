"""The command doctor on an exported policy: whether it is as it was exported, and answers."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import typer

from discovery.errors import DiscoverError
from discovery.output import print_json
from engine_bridge.policy import (
    CORE,
    ENGINES,
    SCALAR_NAMES,
    VECTOR_NAMES,
    InvalidAnswer,
    UnsupportedFunction,
    View,
    check_answer,
    require_engine,
)
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sealed_policy import SealedPolicy
from evaluators.verdict import CandidateFault

WAITING, RUNNING = 256, 64
"""Requests in the views of the dry run: as many as an engine shows, and a large batch."""
TIMES = 20
"""How often each function is asked; the median is told."""
LIMITS = Limits(cpu_seconds=60, wall_seconds=120, memory_mb=512, answer_seconds=2.0)


def doctor_folder(folder: Path, *, as_json: bool) -> None:
    """Check the folder and print what was found.

    Raises:
        DiscoverError: it is no export, was changed, or its policy does not answer.
    """
    from engine_bridge.vllm.folder import POLICY, BrokenFolder, check_folder

    try:
        manifest = check_folder(folder)
        source = (folder / POLICY).read_text(encoding="utf-8")
    except BrokenFolder as error:
        raise DiscoverError(str(error)) from None
    engine = str(manifest.facts.get("engine", "vllm"))
    tier, answers = dry_run(source, engine, folder / POLICY)
    report = {
        "folder": str(folder),
        "policy": str(manifest.facts.get("name", "without a name")),
        "origin": str(manifest.facts.get("origin", "not said")),
        "made by": str(manifest.facts.get("made_by", "not said")),
        "engine": engine,
        "files": f"{len(manifest.files)}, all as exported",
        "isolation here": tier,
        **{f"answer {function}": f"{1e6 * seconds:.0f} µs" for function, seconds in answers.items()},
    }
    if as_json:
        print_json(report)
        return
    for name, finding in report.items():
        typer.echo(f"{name:24}{finding}")


def dry_run(source: str, engine: str, path: Path) -> tuple[str, dict[str, float]]:
    """Let a policy answer sealed off: the tier of isolation, and seconds of each function's median answer.

    Raises:
        DiscoverError: it does not load, has a function that the engine lacks, or an answer is none.
    """
    took: dict[str, float] = {}
    try:
        with Sandbox(LIMITS) as sandbox, SealedPolicy(sandbox, source, limits=LIMITS) as policy:
            require_engine(policy, engine if engine in ENGINES else "vllm")
            for function in [name for name in CORE if name in policy.functions]:
                view = sample_view(function)
                seconds = []
                for _ in range(TIMES):
                    start = perf_counter()
                    answer = policy.ask(function, view)
                    seconds.append(perf_counter() - start)
                    check_answer(function, answer, view)
                took[function] = float(np.median(seconds))
            return sandbox.tier.value, took
    except (CandidateFault, InvalidAnswer, UnsupportedFunction) as fault:
        raise DiscoverError(f"the policy in '{path}' does not answer as it should: {fault}; export another") from None


def sample_view(function: str) -> View:
    """A view as an engine would show `function` in a busy step, of made-up requests."""
    waiting = 0 if function == "rank_running" else WAITING
    running = 0 if function == "rank_waiting" else RUNNING
    n = waiting + running
    rng = np.random.default_rng(0)
    prompt, predicted = rng.integers(1, 4000, n), rng.integers(1, 800, n)
    runs = np.arange(n) < running
    now = 1000.0
    arrival = now - rng.exponential(5.0, n)
    output = np.where(runs, np.minimum(predicted, 50), 0)
    columns = {
        "id": np.arange(n),
        "arrival": arrival,
        "prompt": prompt,
        "computed": np.where(runs, prompt + output, 0),
        "cached": np.where(runs, 0, prompt // 32 * 16),
        "output": output,
        "predicted": predicted,
        "ttft_due": arrival + 2.0,
        "tpot": np.full(n, 0.1),
        "priority": np.zeros(n),
        "group": rng.integers(-1, 20, n),
        "blocks": np.where(runs, -(-(prompt + output) // 16), 0),
        "last": np.where(runs, now - 0.02, arrival),
        "is_running": runs,
    }
    numbers = {
        "now": now,
        "free_blocks": 5000,
        "total_blocks": 27000,
        "block_size": 16,
        "last_step": 0.02,
        "max_tokens": 2048,
        "max_running": 256,
        "waiting": WAITING,
        "running": RUNNING,
    }
    vectors = np.array([columns[name] for name in VECTOR_NAMES], dtype=np.float64)
    return View(vectors, np.array([numbers[name] for name in SCALAR_NAMES], dtype=np.float64))
