import numpy as np
import pytest

from discovery.archive import BoundedInstance
from discovery.briefing import Briefing
from discovery.candidate import Draft
from discovery.proposers.base import Parent
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict
from problems.base import Instance, Problem
from problems.smtt.problem import SmttDispatch

SOURCE = "def priority(p, d, t):\n    return d\n"
PARENTS = (Parent(SOURCE, 1.0, "7", "slack first"), Parent(SOURCE, 2.0, "9"))


class Small(SmttDispatch):
    """Four instances of two classes; test would be a fault: no prompt may know it."""

    def split(self, name: str) -> list[Instance]:
        """Train only."""
        assert name == "train"
        return [Instance(f"i{k}", {"p": np.array([1, 2, 6]), "d": np.array([3, 4, 5 + k])}) for k in range(4)]


class Journal:
    """Evaluations on train."""

    asked: list[str]

    def __init__(self, **costs: tuple[float, ...]) -> None:
        self.costs = {name.lstrip("_"): values for name, values in costs.items()}
        self.splits: set[str] = set()

    def evaluation(self, heuristic: str, split: str) -> Evaluation | None:
        """What was measured."""
        self.splits.add(split)
        costs = self.costs.get(heuristic)
        return Evaluation(Verdict.ok, "", costs, 0.1, "s") if costs else None

    def instances(self, split: str) -> list[BoundedInstance]:
        """Two hard ones and two regular ones."""
        self.splits.add(split)
        classes = ("hard", "hard", "regular", "regular")
        return [BoundedInstance(f"i{k}", "", (name,), 10.0, "optimal", "") for k, name in enumerate(classes)]


JOURNAL = {"_7": (20.0, 12.0, 11.0, 10.0), "_9": (15.0, 15.0, 13.0, 12.0), "mddc": (12.0, 12.0, 12.0, 12.0)}


def prompt(operator: str, parents: tuple[Parent, ...], journal: Journal | None = None, edits: str = "whole") -> str:
    """The prompt of a draft."""
    problem: Problem = Small()
    briefing = Briefing(problem, journal or Journal(**JOURNAL), seed=1, edits=edits)
    return briefing(Draft(3, 0, operator, parents), "- a lesson")


def test_a_mutation_is_told_where_its_parent_loses() -> None:
    """Classes with their meaning, gap and the best baseline's; the costliest instance in words; the idea."""
    text = prompt("mutate", PARENTS[:1])
    assert "Its idea: slack first\n" in text
    assert (
        "Where it loses most:\n- hard (due dates close together, many jobs late whatever is done): gap 60.00 %, best"
        " known rule 20.00 %\n- regular (all others): gap 5.00 %, best known rule 20.00 %\n"
        "Its costliest instance: p: 3 values from 1 to 6, mean 3;"
        " d: 3 values from 3 to 5, mean 4; cost 20, bound 10\n"
    ) in text
    assert "# Lessons from earlier attempts\n- a lesson\n" in text


def test_a_crossover_is_told_who_is_ahead_where() -> None:
    """Short-term reflection: the better and the worse parent are compared class by class, and reasons are asked for."""
    text = prompt("crossover", PARENTS)
    assert "The first is ahead on: regular (all others), gap 5.00 % against 25.00 %." in text
    assert "The second is ahead on: hard (" in text and "), gap 50.00 % against 60.00 %." in text
    assert "why the first is better" in text
    assert "Where it loses" not in text


@pytest.mark.parametrize("operator", ["mutate", "crossover"])
def test_what_was_not_measured_is_not_told(operator: str) -> None:
    """A prompt is whole without it, as for parents of an archive that lacks their evaluation."""
    text = prompt(operator, PARENTS if operator == "crossover" else PARENTS[:1], Journal())
    assert "loses most" not in text and "is ahead on" not in text and "costliest" not in text


def test_prompts_know_the_train_split_only() -> None:
    """Nothing of validation or test is even looked up."""
    journal = Journal(**JOURNAL)
    for operator, count in (("create", 0), ("mutate", 1), ("crossover", 2), ("simplify", 1)):
        prompt(operator, PARENTS[:count], journal)
    assert journal.splits == {"train"}


def test_a_repair_shows_the_failure() -> None:
    """The file, what it failed with, and no score."""
    failed = Parent(SOURCE, float("inf"), "4", "an idea", fault="exception: ValueError: shapes")
    text = prompt("repair", (failed,))
    assert "It fails with exception: ValueError: shapes\n" in text
    assert "inf" not in text.partition("# A heuristic")[2]


def test_a_repair_is_told_the_line_and_what_usually_helps() -> None:
    """The line that the verdict numbers, quoted, and a remedy of its kind; neither where there is none to tell."""
    where = prompt("repair", (Parent(SOURCE, float("inf"), "4", fault="exception: TypeError: scalar (line 2)"),))
    assert "It fails in the line `return d`.\n" in where and "`np.maximum(a, b)` for `np.max(a, b)`" in where
    shape = "invalid_decision: expected scores of shape (50,), got ()"
    assert "one value for each" in prompt("repair", (Parent(SOURCE, float("inf"), "4", fault=shape),))
    other = prompt("repair", (Parent(SOURCE, float("inf"), "4", fault="bad_source: odd (line 99)"),))
    assert "in the line" not in other
    assert "by something simpler.\n\nAnswer with" in other


def test_edits_are_asked_for_where_there_is_a_file_to_edit() -> None:
    """With edits = "diff" all operators with a parent ask for blocks; create still asks for a file."""
    for operator, count in (("mutate", 1), ("crossover", 2), ("simplify", 1), ("repair", 1)):
        assert "<<<<<<< SEARCH" in prompt(operator, PARENTS[:count], edits="diff")
        assert "<<<<<<< SEARCH" not in prompt(operator, PARENTS[:count])
    assert "change the first file by" in prompt("crossover", PARENTS, edits="diff").replace("\n", " ")
    assert "```python" in prompt("create", (), edits="diff")


def test_a_reflection_is_asked_for_with_what_was_tried() -> None:
    """The problem, the attempts line by line, the lessons so far."""
    briefing = Briefing(Small(), Journal(), seed=1, edits="whole")
    text = briefing.reflection(["mutate from 1.5: 1.2. x", "create: 3.0. y"], "- old")
    assert "- mutate from 1.5: 1.2. x\n- create: 3.0. y\n" in text
    assert "# The lessons so far\n- old\n" in text
    assert "lessons so far\n" not in briefing.reflection(["a"], "").partition("# Your task")[0]


def test_what_is_told_can_be_left_out() -> None:
    """Ideas, weaknesses and comparisons each have a switch; the request for an idea goes with the ideas."""
    problem = Small()
    for switch, operator, told in (
        ("thoughts", "mutate", ("Its idea:", "Idea: ")),
        ("weakness", "mutate", ("loses most", "costliest")),
        ("reflection", "crossover", ("is ahead on", "why the first is better")),
    ):
        texts = {}
        for on in (True, False):
            briefing = Briefing(problem, Journal(**JOURNAL), seed=1, **{switch: on})  # type: ignore[arg-type]
            texts[on] = briefing(Draft(3, 0, operator, PARENTS[: 1 + (operator == "crossover")]), "")
        for each in told:
            assert each in texts[True] and each not in texts[False]
        assert "```python" in texts[False]
