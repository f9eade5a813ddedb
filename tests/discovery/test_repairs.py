import math
from dataclasses import replace

import pytest

from discovery.bandit import Adaptive, Bandit
from discovery.candidate import Candidate, Draft
from discovery.population import Population, Shape
from discovery.proposers.base import TUNER, Parent
from discovery.repairs import WAITING, Repairs
from discovery.seen import Seen
from evaluators.verdict import Verdict

SHAPE = Shape(islands=1, island_size=12, tournament=1, migration_every=100)
SEEDS = [Parent("mdd source", 0.6, "mdd"), Parent("edd source", 50.0, "edd")]


def failed(number: int, verdict: Verdict = Verdict.exception, operator: str = "mutate") -> Candidate:
    """A candidate that failed."""
    return Candidate(Draft(number, 0, operator, ()), f"source {number}", verdict, "ValueError: no", thought="an idea")


def population(weights: dict[str, float]) -> Population:
    """One island."""
    return Population(SEEDS, shape=SHAPE, weights=weights, seed=1, seen=Seen())


def test_a_failure_is_asked_for_again_once_with_its_verdict() -> None:
    """The draft's only parent is the failed file with what it failed with and the idea; then it is done with."""
    people = population({"repair": 1.0})
    people.tell(failed(0))
    draft = people.ask(1)
    assert (draft.operator, [parent.label for parent in draft.parents]) == ("repair", ["0"])
    parent = draft.parents[0]
    assert (parent.source, parent.fault, parent.thought) == ("source 0", "exception: ValueError: no", "an idea")
    assert parent.score == math.inf
    assert people.ask(2).operator == "create"


def test_a_failed_repair_is_not_repaired() -> None:
    """Otherwise a hopeless candidate would be asked for without end."""
    people = population({"repair": 1.0})
    people.tell(failed(0, operator="repair"))
    assert people.ask(1).operator == "create"


@pytest.mark.parametrize("verdict", [Verdict.ok, Verdict.duplicate, Verdict.no_code, Verdict.crash])
def test_only_what_says_what_to_change_is_repaired(verdict: Verdict) -> None:
    """Good ones, twins and those without a reason a model could act on are not."""
    people = population({"repair": 1.0})
    people.tell(failed(0, verdict))
    assert people.ask(1).operator == "create"


def test_what_no_prompt_can_hold_is_not_repaired() -> None:
    """Ten megabytes of code are one failure, not the next prompt."""
    people = population({"repair": 1.0})
    people.tell(replace(failed(0), source="x" * 10_000_000))
    assert people.ask(1).operator == "create"


def test_repairs_take_their_share_and_no_more() -> None:
    """With a fifth of the weight a waiting failure is taken up in a fifth of the asks; with none, never."""
    taken = 0
    for number in range(1000):
        people = population({"mutate": 4.0, "repair": 1.0})
        people.tell(failed(0))
        taken += people.ask(number).operator == "repair"
    assert 150 < taken < 250
    people = population({"mutate": 1.0})
    people.tell(failed(0))
    assert {people.ask(number).operator for number in range(50)} == {"mutate"}


def test_repairs_that_bring_nothing_become_rare() -> None:
    """Where operators are learnt, repairs are learnt too; and they are drawn only while a failure waits."""

    def taken(reward: float) -> int:
        bandit = Bandit({"mutate": 1.0, "repair": 1.0}, "1")
        for _ in range(50):
            bandit.tell("mutate", 0.5, tokens=100, money=0.0)
            bandit.tell("repair", reward, tokens=100, money=0.0)
        weights, adaptive = {"mutate": 1.0, "repair": 1.0}, Adaptive(operators=bandit)
        people = Population(SEEDS, shape=SHAPE, weights=weights, seed=1, seen=Seen(), adaptive=adaptive)
        assert {people.ask(number).operator for number in range(20)} == {"mutate"}
        drafts = 0
        for number in range(100):
            people.tell(failed(number, operator="create"))
            drafts += people.ask(number).operator == "repair"
        return drafts

    assert 4 * taken(0.0) < taken(0.5)


def test_the_latest_failures_are_kept() -> None:
    """Newest first, a few: a repair is of use while its idea is fresh."""
    repairs = Repairs(1)
    for number in range(10):
        repairs.note(failed(number))
    labels = []
    while repairs.wait(0):
        labels.append(repairs.take(0).label)
    assert labels == ["9", "8", "7"][:WAITING]


def tuned(number: int, parent: Parent, score: float) -> Candidate:
    """A candidate that the tuner made."""
    draft = Draft(number, 0, "tune", (parent,))
    return Candidate(draft, f"tuned {number}", Verdict.ok, "", score, f"sig{number}", model=TUNER)


def test_of_a_tuned_family_an_island_keeps_the_best() -> None:
    """A better one takes its parent's place, a worse one is dropped; others stay: tuning cannot crowd an island."""
    people = population({"mutate": 1.0})
    first = tuned(0, SEEDS[0], 0.5)
    people.tell(first)
    child = Parent("tuned 0", 0.5, "0", family=first.family)
    assert first.family == "mdd"
    people.tell(tuned(1, child, 0.7))
    people.tell(tuned(2, child, 0.4))
    labels = {people.ask(number).parents[0].label for number in range(10, 200)}
    assert labels == {"2", "edd"}


def test_what_a_model_wrote_is_a_family_of_its_own() -> None:
    """Also when it was asked to tune: it may have changed anything. So islands of earlier runs are as they were."""
    draft = Draft(4, 0, "tune", (SEEDS[0],))
    assert Candidate(draft, "x", Verdict.ok, "", 0.5, "s", model="gpt").family == "4"
