"""What exported policies cost: `python -m tests.vllm.bench`, which `make bench` calls where `make test-vllm` was run.

The scheduler's steps are timed with a made-up model that takes `PAUSE` seconds, in which the scheduling thread turns
over as it does while a GPU computes; were it to sleep, all would take half as long again, vLLM's part too. Throughput
is that of a small model on one thread of the CPU, whose steps take a few milliseconds. What is compared takes turns,
so that a busy machine slows both.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from vllm.v1.core.sched.scheduler import Scheduler

from engine_bridge.vllm.scheduler import hooked
from engine_bridge.vllm.settings import Settings
from evaluators.served_policy import ServedSealedPolicy
from tests.vllm.crowd import Crowd
from tests.vllm.offline import Offline
from tests.vllm.world import CHAMPIONS, ROOT, draw_requests, export, write_model

PAUSE = 0.005
RUNNING, WAITING = 64, 256
ROUNDS, STEPS, WARM = 12, 40, 5
BATCHES = 9
POLICIES = ROOT / "problems/serving/policies"


def show(what: str, figure: float, unit: str, target: str = "") -> None:
    """One line: the figure, and what it should be."""
    print(f"{what:66} {figure:10.2f} {unit:8} {target}", flush=True)


def steps(crowd: Crowd, turning: bool) -> float:
    """Seconds of `schedule()` in its quickest tenth: those during which other programs let the machine be."""
    took = []
    for number in range(WARM + STEPS):
        start = time.perf_counter()
        output = crowd.scheduler.schedule()
        if number >= WARM:
            took.append(time.perf_counter() - start)
        crowd.finish(output)
        if turning:
            crowd.turn()
        end = time.perf_counter() + PAUSE
        while time.perf_counter() < end:
            pass
    return float(np.quantile(took, 0.1))


def hook(name: str, path: Path, target: str = "") -> None:
    """The time that a policy adds to a step, its question ahead included, while all wait on and while they turn."""
    policy = ServedSealedPolicy(path.read_text(), Settings(answer_ms=2000.0))
    plain, steered = Crowd(Scheduler, RUNNING, WAITING), Crowd(hooked(Scheduler), RUNNING, WAITING)
    steered.scheduler.steer(policy, Settings())
    for crowd in (plain, steered):
        crowd.fill()
    for turning in (False, True):
        pairs = np.array([(steps(plain, turning), steps(steered, turning)) for _ in range(ROUNDS)])
        what = "  one leaves and one comes at each step" if turning else f"{name}: added to a step, {WAITING} wait"
        show(what, 1e6 * np.median(np.diff(pairs)), "µs", "" if turning else target)
        show("    beside vLLM's own schedule()", 1e6 * np.median(pairs[:, 0]), "µs")
    policy.close()


def throughput() -> None:
    """vLLM's own FCFS against FCFS exported, batch by batch in turns."""
    requests = draw_requests(160, longest=60)
    settings = {"max_num_seqs": 32, "max_num_batched_tokens": 2048, "max_model_len": 512}
    with tempfile.TemporaryDirectory() as place:
        model, folder = write_model(Path(place) / "model"), export("fcfs", Path(place) / "fcfs")
        with Offline(model, None, settings) as own, Offline(model, folder, settings) as exported:
            for each in (own, exported):
                each.serve(requests)
            rounds = [(own.serve(requests), exported.serve(requests)) for _ in range(BATCHES)]
    ratio = [theirs["seconds"] / ours["seconds"] for theirs, ours in rounds]
    tokens = sum(request["output"] for request in requests)
    show("throughput with FCFS exported, in % of vLLM's own FCFS", 100 * float(np.median(ratio)), "%", "target: >= 97")
    show("  the least and", 100 * min(ratio), "%")
    show("  the most of the rounds", 100 * max(ratio), "%")
    show("  vLLM's own FCFS", tokens / float(np.median([own["seconds"] for own, _ in rounds])), "tokens/s")
    step = float(np.median([own["seconds"] / own["steps"] for own, _ in rounds]))
    show("  a step of it", 1e3 * step, "ms")


def main() -> None:
    """Print the figures."""
    logging.disable(logging.WARNING)
    hook("SJF", POLICIES / "sjf.py", "target: <= 60")
    hook("FCFS", POLICIES / "fcfs.py", "target: <= 60")
    hook("a champion, two functions", sorted(CHAMPIONS.glob("*.py"))[0])
    throughput()


if __name__ == "__main__":
    main()
