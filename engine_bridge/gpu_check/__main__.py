"""The command: the plan, a process for each part, and what they find into one file."""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, strftime

from engine_bridge.gpu_check.report import Report

PLAN = {"rates": 60.0, "kernels": 110.0, "dense": 200.0, "moe": 150.0}
"""Seconds that each part may take, in this order, and no more than are left of all."""
SECONDS = 440.0
"""Of all parts together; eight minutes with the start and the end."""
LEAST = 20.0
"""A part with fewer seconds left does not begin."""
USAGE = 2


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    out: Path
    device: str
    quick: bool
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; 0 if all parts ran and the kernels are right, 1 if not, 2 if it cannot begin."""
    order = read_order(arguments)
    report = Report(order.out)
    if (trouble := obstacle(order, report)) is not None:
        print(f"error: {trouble}", file=sys.stderr)
        return USAGE
    started = monotonic()
    ahead = _compile_ahead()
    report.put(("check",), {"started": strftime("%Y-%m-%d %H:%M:%S"), "device": order.device, "quick": order.quick})
    for name, seconds in PLAN.items():
        left = order.seconds - (monotonic() - started)
        if name == "dense":  # the first that schedules
            _wait(ahead, min(left, seconds) / 2)
            left = order.seconds - (monotonic() - started)
        if left < LEAST:
            _failed(report, name, f"left out: {left:.0f} s were left")
            continue
        run_part(order, report, name, min(seconds, left))
    _wait(ahead, 0)
    report.put(("check", "seconds"), monotonic() - started)
    return conclude(report)


def read_order(arguments: Sequence[str] | None) -> Order:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m engine_bridge.gpu_check", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.json", help="where the results go; written after each of them")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, …; cpu to try the check itself")
    parser.add_argument("--quick", action="store_true", help="tiny models: tries the check, measures nothing")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for all parts; {SECONDS:g} by default")
    given = parser.parse_args(arguments)
    return Order(given.out, given.device, given.quick, given.seconds)


def obstacle(order: Order, report: Report) -> str | None:
    """Why the check cannot begin: one sentence with the remedy."""
    try:
        from engine_bridge.torch_engine.errors import EngineError
        from engine_bridge.torch_engine.opening import find_device
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed; install torch, triton and numpy"
    try:
        device = find_device(order.device)
    except EngineError as error:
        return f"{error}: run this on a machine with an NVIDIA GPU, or try it with --device cpu --quick"
    if device.type == "cpu" and not order.quick:
        return "on the CPU a model of this size takes hours; add --quick, or run this on a machine with an NVIDIA GPU"
    try:
        order.out.parent.mkdir(parents=True, exist_ok=True)
        report.write()
    except OSError as error:
        return f"cannot write {order.out}: {error.strerror}; name another file"
    return None


def run_part(order: Order, report: Report, name: str, seconds: float) -> None:
    """Run a part in a process of its own, show what it says, keep what it emits, and cut it off in time."""
    print(f"{name} (at most {seconds:.0f} s)", flush=True)
    command = [sys.executable, "-m", "engine_bridge.gpu_check.child", name, order.device, str(seconds), str(order.out)]
    started, last = monotonic(), deque[str](maxlen=12)
    with subprocess.Popen(
        [*command, *(["quick"] if order.quick else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        cut = threading.Timer(seconds, process.kill)
        cut.start()
        try:
            assert process.stdout is not None  # piped
            for line in process.stdout:
                if not report.take(line):
                    print(line, end="", flush=True)
                    last.append(line.rstrip())
        finally:
            cut.cancel()
            process.kill()
    took = monotonic() - started
    report.put((name, "seconds"), took)
    if took >= seconds:
        _failed(report, name, f"cut off after {seconds:.0f} s")
    elif process.returncode:
        _failed(report, name, f"ended with code {process.returncode}: {' | '.join(last)}")


def conclude(report: Report) -> int:
    """Say how it went."""
    failed = {name: part["failed"] for name, part in report.results.items() if name in PLAN and "failed" in part}
    right = report.results.get("kernels", {}).get("right") is True
    print(f"wrote {report.path} after {report.results['check']['seconds']:.0f} s", flush=True)
    for name, why in failed.items():
        print(f"error: part {name}: {why}", file=sys.stderr)
    if not right:
        print("error: the kernels were not found right; see kernels in the report", file=sys.stderr)
    return 1 if failed or not right else 0


def _failed(report: Report, name: str, why: str) -> None:
    report.put((name, "failed"), why)


def _compile_ahead() -> subprocess.Popen[bytes]:
    """Compile the scheduler, which takes up to a minute, while the first parts use the GPU."""
    command = [sys.executable, "-m", "engine_bridge.gpu_check.ahead"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for it, no longer than this: what is not compiled by then is compiled by who needs it."""
    try:
        process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
