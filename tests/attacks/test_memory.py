"""Heuristics that remember: caught where an instance should speak for itself, left alone where they are honest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evaluators.evaluate import Evaluation, evaluate
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.tiers import ALL, Layer
from evaluators.verdict import Verdict
from problems.base import Instance
from tests.attacks.toy import INSTANCES, TOY, Quick

MANY = [Instance(f"{i}", dict(INSTANCES[i % 3].arrays)) for i in range(50)]
COUNTS = """
calls = 0
def order(p):
    global calls
    calls += 1
    return sorted(range(len(p)), key=lambda i: p[i] * (1 if {condition} else -1))
"""


@pytest.fixture(scope="module")
def judge(sandbox_with: Callable[[Layer], Sandbox]) -> Callable[..., Evaluation]:
    """A function that evaluates a source on fifty instances."""
    sandbox = sandbox_with(ALL)
    return lambda source, **allowance: evaluate(TOY, source, MANY, sandbox, Quick(**allowance))


@pytest.mark.parametrize(
    "condition", ["calls % 2", "calls < 3", "calls < 50", "calls > 1", "calls > 49", "calls == 26"]
)
def test_counting_is_caught(judge: Callable[..., Evaluation], condition: str) -> None:
    """A change after the first, before the last or every second instance is noticed, and said to be what it is."""
    result = judge(COUNTS.format(condition=condition))
    assert (result.verdict, result.costs) == (Verdict.invalid_decision, ())
    assert result.detail == "decisions depend on earlier instances or on chance"


@pytest.mark.parametrize("condition", ["calls % 2", "calls < 50", "calls > 1"])
def test_nothing_to_count_in_a_fresh_process(judge: Callable[..., Evaluation], condition: str) -> None:
    """With a process for each instance there is no earlier one: the same source decides alike, and is accepted."""
    assert judge(COUNTS.format(condition=condition), fresh_process=True).verdict is Verdict.ok


@pytest.mark.parametrize(
    "source",
    [
        "cache = {}\ndef order(p):\n    key = tuple(p)\n    if key not in cache:\n"
        "        cache[key] = sorted(range(len(p)), key=lambda i: p[i])\n    return cache[key]",
        "import numpy as np\ndef order(p): return np.random.default_rng(7).permutation(len(p))",
        "import random\ndef order(p):\n    o = list(range(len(p)))\n    random.Random(3).shuffle(o)\n    return o",
        "def order(p): return list({f'job {i}' : i for i in {*range(len(p))}}.values())",
    ],
)
def test_honest_memory_and_seeded_chance_are_accepted(judge: Callable[..., Evaluation], source: str) -> None:
    """A cache that changes no decision, and chance with a seed of its own, are nobody's business."""
    assert judge(source).verdict is Verdict.ok
