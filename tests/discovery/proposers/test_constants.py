import ast
import asyncio
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.proposers.base import TUNER, Answer, Parent, Request
from discovery.proposers.constants import perturbed, places
from discovery.proposers.genetic import Genetic
from discovery.proposers.tuning import WithTuning
from problems.registry import BUILT_IN, load_problem

RULE = """import numpy as np

K = 3
WIDTH = 1.5


def priority(p, d, t, late=2):
    # größer: 7.5 in a comment
    slack = np.maximum(d - t - 0.5 * p, 0)
    order = np.argsort(slack)[:4]
    if slack.mean(axis=1) > 10:
        slack = slack ** 2 + p ** 0.5
    return slack + WIDTH * np.zeros(5) + p[K - 1] + 1e-9
"""


def found(source: str, kind: str) -> list[str]:
    """The texts of the places of a kind."""
    return [source.encode()[place.start : place.end].decode() for place in places(source) if place.kind == kind]


def test_numbers_that_are_parameters_are_found() -> None:
    """Factors, terms and limits are; indices, axes, shapes, exponents that must be whole, and guards are not."""
    assert found(RULE, "number") == ["1.5", "0.5", "10", "0.5"]
    assert found(RULE, "whole") == ["3", "2"]


def test_the_least_of_two_counts_stays_whole() -> None:
    """Python's own min and max often count; in a sum they are terms of a score, and NumPy's are."""
    assert found("size = min(len(p), 40)", "whole") == ["40"]
    assert found("score = 2.5 * min(n, 40)", "number") == ["2.5", "40"]
    assert found("score = np.minimum(p, 40)", "number") == ["40"]


COUNTING = [
    "size = 2\nrows = len(x) - size + 1\ny = x[np.arange(rows) + size - 1]",
    "n = len(x)\norder = np.argsort(x)\ny = x[order[: n // 2 + 1]]",
    "last = x.shape[0] - 1\ny = x[last] + x[x.size - 1]",
    "y = [x[min(i + 1, len(x) - 1)] - x[max(i - 1, 0)] for i in range(len(x))]",
    "for i, each in enumerate(x):\n    j = (i + 1) % len(x)\n    y = each - x[j]",
    "rows, columns = x[:, None].shape\nk = 2 * rows - columns - 1\ny = x.repeat(2)[k:]",
    "low, high = 0, len(x) - 1\nwhile low < high:\n    middle = (low + high + 1) // 2\n"
    "    low, high = (middle, high) if x[middle] < 3 else (low, middle - 1)\ny = x[low]",
    "best = int(x.argmin())\nafter = best + 1 if best < len(x) - 1 else 1 + best - len(x)\ny = x[after]",
    "for i in np.argsort(-x).tolist():\n    k = i - len(x) + 1\n    y = x[k - 1 :]",
    "size = 1\nwhile size < len(x):\n    size += 1\ny = x[-size:]",
]
"""Bodies of heuristics with arithmetic on what counts their argument `x` or indexes it."""


@pytest.mark.parametrize("body", COUNTING)
def test_what_counts_stays_fit_to_index(body: str) -> None:
    """However it is perturbed, it runs."""
    x = np.arange(9.0)
    for seed in range(100):
        source = perturbed(body, random.Random(seed)) or body
        exec(source, {"np": np, "x": x})


@pytest.mark.parametrize(
    ("line", "numbers", "wholes"),
    [
        ("score = 2 * p + d + 1", ["2", "1"], []),
        ("score = 2 * p / len(p) + 1", ["2", "1"], []),
        ("score = d - 3 * p.mean() - 0.5 * len(p) + 4", ["3", "0.5", "4"], []),
        ("size = len(p) + 4", [], ["4"]),
        ("size = 2 * len(p) - 1", [], ["2"]),
        ("size = int(0.5 * len(p)) + 1", [], []),
        ("size = max(len(p) - 4, 2)", [], ["4", "2"]),
        ("n = len(p)\nscore = 3 * np.where(d < n + 2, p, d)", ["3"], ["2"]),
    ],
)
def test_numbers_beside_counts_stay_whole(line: str, numbers: list[str], wholes: list[str]) -> None:
    """One more or less is where something ends and is left alone; fractions and scores are as free as they were."""
    assert (found(line, "number"), found(line, "whole")) == (numbers, wholes)


def test_names_count_in_their_function_alone() -> None:
    """What is an index in one function may be a score in another; names of the module hold everywhere."""
    source = "N = len(NAMES)\ndef f(p):\n    d = len(p)\n    return d + 5\ndef g(d):\n    return d + 6, N + 7\n"
    assert (found(source, "number"), found(source, "whole")) == (["6"], ["5", "7"])


def test_no_count_becomes_nothing() -> None:
    """A step of 0 would never end, nor divide."""
    assert "step = 0" not in {perturbed("step = 1", random.Random(seed)) for seed in range(50)}


def test_what_the_least_is_chosen_from_is_no_term() -> None:
    """A list bears no factor; the least of several values is made of terms."""
    assert found("return min(orders, key=cost)", "term") == []
    assert found("return min(late, early)", "term") == ["late", "early"]


def test_terms_are_what_may_get_a_factor() -> None:
    """Operands of sums and of the larger of two; what has a factor gets no second one."""
    terms = found(RULE, "term")
    assert "d - t" in terms and "slack ** 2" in terms and "p" not in found("x = p * 2 + 3 * p", "term")
    assert not any(term.startswith("0.5") for term in terms)


def numberless(source: str) -> str:
    """The tree with every number alike."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            node.value = 1
    return ast.dump(tree)


@given(seed=st.integers(0, 10_000))
def test_only_numbers_change_and_whole_ones_stay_whole(seed: int) -> None:
    """The result is Python, with the comments; without a new factor its structure is its parent's, and it differs."""
    source = perturbed(RULE, random.Random(seed))
    assert source is not None and source != RULE
    ast.parse(source)
    assert "# größer: 7.5 in a comment" in source
    if source.count("*") == RULE.count("*"):
        assert numberless(source) == numberless(RULE)
        assert all(float(text).is_integer() for text in found(source, "whole"))


@pytest.mark.parametrize("name", [name for name in BUILT_IN if load_problem(name).baselines])
def test_every_baseline_can_be_tuned_or_left_alone(name: str) -> None:
    """Whatever is changed in a shipped heuristic, it stays Python."""
    folder = load_problem(name).baselines
    assert folder is not None
    for path in sorted(Path(folder).glob("*.py")):
        for seed in range(5):
            source = perturbed(path.read_text(), random.Random(seed))
            assert source is None or ast.parse(source)


@pytest.mark.parametrize("source", ["def f(x:\n", "def f(x):\n    return x\n", "", "x = 'a'\n"])
def test_what_holds_no_number_and_no_term_is_left_alone(source: str) -> None:
    """There is nothing to tune in it."""
    assert perturbed(source, random.Random(1)) is None


def test_line_ends_and_wide_signs_do_not_shift_places() -> None:
    """Positions are found in UTF-8 text with any line ends."""
    source = 'def f(x):\r\n    y = "größe"; z = 2.5 * x\r\n    return y, z\r\n'
    assert found(source, "number") == ["2.5"]


def tuned(request: Request) -> Answer:
    """The tuner's answer; asking a model would fail."""
    return asyncio.run(WithTuning(Genetic(load_problem("smtt_dispatch").entry)).propose(request, None))  # type: ignore[arg-type]


def request(number: int, source: str = RULE, **others: Any) -> Request:
    """A request to tune a file."""
    return Request(number, 7, "tune", (Parent(source, 1.0, "3"),), "", **others)


def test_tuning_is_drawn_by_seed_and_number_alone() -> None:
    """Equal requests give equal files, others give others, and no model is named."""
    assert tuned(request(5)) == tuned(request(5))
    assert len({tuned(request(number)).text for number in range(20)}) > 15
    answer = tuned(request(1))
    assert (answer.model, answer.text, answer.charge.tokens) == (TUNER, answer.source, 0)


def test_what_cannot_be_tuned_comes_back_as_it_is() -> None:
    """It is then rejected as a duplicate, at no cost."""
    source = "def priority(p, d, t):\n    return d\n"
    assert tuned(request(1, source)).source == source
