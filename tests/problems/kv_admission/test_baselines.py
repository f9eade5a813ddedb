"""The baseline files, loaded as a candidate is: from the file, with no package around."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.base import Instance
from problems.kv_admission.problem import KvAdmission
from tests.problems.kv_admission.plain import FOLDER, NAMES, Asked, instances, load

PROBLEM = KvAdmission()


@pytest.mark.parametrize("name", NAMES)
def test_every_file_says_where_it_comes_from(name: str) -> None:
    """The docstring has a source, a tag of one of the two forms, and the deviations; NumPy is all it needs."""
    lines = (FOLDER / f"{name}.py").read_text().splitlines()
    assert any(line.startswith("Source: ") for line in lines)
    assert sum(line == "Tag: faithful" or line.startswith("Tag: inspired by ") for line in lines) == 1
    assert any(line.startswith("Deviations: ") for line in lines)
    assert {line for line in lines if line.startswith(("import", "from"))} == {
        "from typing import Any",
        "import numpy as np",
    }


def test_the_names_the_problem_uses_exist() -> None:
    """Best baseline and seeds are files."""
    assert {PROBLEM.best_baseline, *PROBLEM.seeds} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(instances(8))
def test_scores_are_finite_and_the_input_stays_as_it_was(name: str, instance: Instance) -> None:
    """Read-only arrays are accepted, no division by zero or overflow, and the decision is a schedule."""
    rule = load(name)

    def strict(requests: SimpleNamespace, state: SimpleNamespace) -> np.ndarray:
        for array in vars(requests).values():
            array.setflags(write=False)
        with np.errstate(all="raise"):
            score = rule(requests, state)
        assert np.isfinite(score).all()
        return score

    PROBLEM.check(instance, PROBLEM.decide(instance, Asked(strict)))


def plain_mc_sf(instance: Instance) -> list[int]:
    """Algorithm 1 of arXiv 2502.07115, round by round.

    In each round the waiting requests are scanned by increasing output; one is added while, in the last round of
    every request of the tentative set, the memory of that set fits; the scan stops at the first that does not.
    """
    prompt, output, arrival = (instance[name].tolist() for name in ("prompt", "output", "arrival"))
    start: dict[int, int] = {}
    k = 0
    while len(start) < len(prompt):
        running = {i: begun for i, begun in start.items() if begun + output[i] > k}
        waiting = [i for i in range(len(prompt)) if i not in start and arrival[i] <= k]
        for i in sorted(waiting, key=lambda i: (output[i], i)):
            tentative = running | {i: k}
            ends = [begun + output[j] for j, begun in tentative.items()]
            if any(
                sum(prompt[j] + t - b for j, b in tentative.items() if b < t <= b + output[j])
                > int(instance["capacity"])
                for t in ends
            ):
                break
            running = tentative
            start[i] = k
        k += 1
    return [start[i] for i in range(len(prompt))]


@settings(max_examples=200, deadline=None)
@given(instances(8))
def test_mc_sf_is_its_algorithm(instance: Instance) -> None:
    """Scores by output, driven by the simulator, give the start rounds of the paper's pseudocode."""
    assert PROBLEM.decide(instance, Asked(load("mc_sf"))).tolist() == plain_mc_sf(instance)


def test_the_order_of_sorted_f() -> None:
    """By hand, M = 12: F({a, b}) = 5/4 is least (one alone: 2, 3 or 9), so a, b go first, by output, and c last."""
    requests = SimpleNamespace(
        prompt=np.array([1.0, 2.0, 3.0]), output=np.array([3.0, 2.0, 9.0]), peak=np.array([4.0, 4.0, 12.0])
    )
    requests.area = requests.prompt * requests.output + requests.output * (requests.output + 1) / 2
    state = SimpleNamespace(capacity=12.0)
    assert np.argsort(load("sorted_f")(requests, state)).tolist() == [1, 0, 2]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=8), st.integers(18, 60))
def test_sorted_f_batches_fit(pairs: list[tuple[int, int]], capacity: int) -> None:
    """The longest prefix that fits: that many requests started together stay within memory, one more would not."""
    fitting = load("sorted_f").__globals__["fitting"]
    prompt, output = (np.array(row, dtype=float) for row in zip(*pairs, strict=True))

    def most(count: int) -> float:
        s, o = prompt[:count], output[:count]
        return max(float((s + t)[o >= t].sum()) for t in range(1, 10) if (o >= t).any())

    count = fitting(prompt, output, float(capacity))
    assert most(count) <= capacity
    assert count == len(pairs) or most(count + 1) > capacity
