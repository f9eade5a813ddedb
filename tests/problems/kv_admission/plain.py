"""Plain statements of the model that share nothing with the code under test, and helpers of its tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from problems.base import Array, Instance

FOLDER = Path(__file__).parents[3] / "problems" / "kv_admission" / "baselines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
Rule = Callable[[Any, Any], Array]


def make(prompt: list[int], output: list[int], arrival: list[int], capacity: int) -> Instance:
    """An instance of these lists."""
    lists = {"prompt": prompt, "output": output, "arrival": arrival}
    arrays = {name: np.array(values, dtype=np.int64) for name, values in lists.items()}
    return Instance("plain", {**arrays, "capacity": np.array(capacity)})


@st.composite
def instances(draw: st.DrawFn, most: int = 5) -> Instance:
    """A few short requests and memory from just enough for the largest to enough for most."""
    request = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(0, 4))
    prompt, output, arrival = (
        list(row) for row in zip(*draw(st.lists(request, min_size=1, max_size=most)), strict=True)
    )
    peak = max(s + o for s, o in zip(prompt, output, strict=True))
    return make(prompt, output, arrival, peak + draw(st.integers(0, 8)))


def held(instance: Instance, start: list[int]) -> list[int]:
    """Memory held in each round from 0 on, request by request and round by round."""
    prompt, output = instance["prompt"].tolist(), instance["output"].tolist()
    rounds = [0] * (max(start) + max(output) + 2)
    for s, o, k in zip(prompt, output, start, strict=False):
        for t in range(k + 1, k + o + 1):
            rounds[t] += s + t - k
    return rounds


def optimum(instance: Instance) -> int:
    """The least total latency, by trying all start rounds of one request after another."""
    prompt, output, arrival = (instance[name].tolist() for name in ("prompt", "output", "arrival"))
    capacity, n = int(instance["capacity"]), len(prompt)
    rest = [sum(output[i:]) for i in range(n + 1)]
    # All have arrived, and run one after another.
    best: int = sum(max(arrival) + sum(output[: i + 1]) - arrival[i] for i in range(n))
    memory = [0] * (max(arrival) + best + max(output) + 2)

    def place(i: int, cost: int) -> None:
        nonlocal best
        if i == n:
            best = min(best, cost)
            return
        k = arrival[i]
        while cost + k + output[i] - arrival[i] + rest[i + 1] < best:
            if all(memory[k + j] + prompt[i] + j <= capacity for j in range(1, output[i] + 1)):
                for j in range(1, output[i] + 1):
                    memory[k + j] += prompt[i] + j
                place(i + 1, cost + k + output[i] - arrival[i])
                for j in range(1, output[i] + 1):
                    memory[k + j] -= prompt[i] + j
            k += 1

    place(0, 0)
    return best


def load(name: str) -> Rule:
    """The entry function of a baseline file, loaded as a candidate is: with no package around."""
    spec = importlib.util.spec_from_file_location(f"kv_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rule: Rule = module.admit_priority
    return rule


class Asked:
    """Puts questions to a rule in this process, as the sealed child does, and keeps what was asked."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.questions: list[tuple[SimpleNamespace, SimpleNamespace]] = []

    def __call__(self, function: str, arrays: Any, *, dispatch: bool = False, records: str = "") -> Array:
        """One question: the records that `records` describes."""
        assert function == "admit_priority" and not dispatch
        values = iter(arrays)
        built = []
        for part in records.split(";"):
            fields = part.partition(":")[2].split(",")
            sent = {field: next(values) for field in fields}
            built.append(SimpleNamespace(**{name: a if a.ndim else a.item() for name, a in sent.items()}))
        self.questions.append((built[0], built[1]))
        return np.asarray(self.rule(*built), dtype=np.float64)
