from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.bandit import Adaptive, Bandit
from discovery.candidate import Candidate, Draft
from discovery.proposers.base import Parent
from evaluators.verdict import Verdict

EVEN = {"a": 1.0, "b": 1.0}


def drawn(bandit: Bandit, draws: int = 2000) -> Counter[str]:
    """How often each arm is drawn."""
    return Counter(bandit.draw(number) for number in range(draws))


def taught(weights: dict[str, float], *told: tuple[str, float, int, float], times: int = 40) -> Bandit:
    """A bandit that was told the same again and again: arm, reward, tokens, money."""
    bandit = Bandit(weights, "1")
    for _ in range(times):
        for name, reward, tokens, money in told:
            bandit.tell(name, reward, tokens=tokens, money=money)
    return bandit


def test_before_anything_is_known_the_weights_decide() -> None:
    """An arm of three times the weight is drawn three times as often, about."""
    counts = drawn(Bandit({"a": 3.0, "b": 1.0}, "1"), 8000)
    assert 0.68 < counts["a"] / 8000 < 0.82


def test_what_brings_more_is_drawn_more_often_but_nothing_is_given_up() -> None:
    """At equal cost the arm with rewards leads; the other is still tried."""
    counts = drawn(taught(EVEN, ("a", 0.8, 100, 0.0), ("b", 0.05, 100, 0.0)))
    assert counts["a"] > 4 * counts["b"] > 0


def test_of_two_that_bring_the_same_the_cheaper_is_drawn_more_often() -> None:
    """Improvement per token: a ninth of the tokens counts; but what is free and brings nothing does not."""
    cheap = taught(EVEN, ("a", 0.5, 100, 0.0), ("b", 0.5, 900, 0.0)).shares()
    assert cheap["a"].chance > 1.5 * cheap["b"].chance
    free = taught(EVEN, ("a", 0.02, 0, 0.0), ("b", 0.5, 900, 0.0)).shares()
    assert free["b"].chance > free["a"].chance


def test_where_money_is_spent_it_counts_and_tokens_do_not() -> None:
    """A dear model with short answers is the dear one."""
    shares = taught(EVEN, ("a", 0.5, 1000, 0.001), ("b", 0.5, 100, 0.01)).shares()
    assert shares["a"].chance > 1.5 * shares["b"].chance


def test_old_rewards_fade() -> None:
    """An arm that has stopped to bring anything loses its lead to the one that now does."""
    bandit = taught(EVEN, ("a", 0.8, 1, 0.0), ("b", 0.1, 1, 0.0))
    assert bandit.shares()["a"].chance > 0.7
    for _ in range(300):
        bandit.tell("a", 0.0, tokens=1, money=0.0)
        bandit.tell("b", 0.4, tokens=1, money=0.0)
    assert bandit.shares()["b"].chance > 0.7


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "unknown"]),
            st.floats(0, 1),
            st.integers(0, 10**6),
            st.floats(0, 10, allow_subnormal=False),
        ),
        max_size=60,
    )
)
def test_any_history_leaves_chances_and_the_same_draws(told: list[tuple[str, float, int, float]]) -> None:
    """Chances are above 0 and sum to 1, whatever was told; equal histories draw equally, whenever they are asked."""
    first, second = Bandit({"a": 1.0, "b": 0.5, "c": 0.1}, "7"), Bandit({"a": 1.0, "b": 0.5, "c": 0.1}, "7")
    for number, (name, reward, tokens, money) in enumerate(told):
        first.draw(number)
        for bandit in (first, second):
            bandit.tell(name, reward, tokens=tokens, money=money)
    shares = first.shares()
    assert all(share.chance > 0 for share in shares.values())
    assert sum(share.chance for share in shares.values()) == pytest.approx(1)
    assert [first.draw(number) for number in range(5)] == [second.draw(number) for number in range(5)]


def test_an_arm_that_never_brought_anything_can_still_be_drawn() -> None:
    """With no reward for long what is sampled may be 0 in floating point; the only arm is drawn all the same."""
    bandit = taught({"a": 1.0}, ("a", 0.0, 1, 0.0), times=1000)
    assert drawn(bandit, 20_000) == {"a": 20_000}


def candidate(operator: str, model: str, score: float | None) -> Candidate:
    """A judged candidate."""
    draft = Draft(0, 0, operator, (Parent("x", 1.0, "mdd"),), model)
    return Candidate(draft, "y", Verdict.ok, "", score, model=model, tokens=100)


def test_operators_and_models_are_rewarded_by_the_place_on_the_island() -> None:
    """The best of its island brings 1, one place lower half of that, no score nothing; to operator and model."""
    adaptive = Adaptive(operators=Bandit({"mutate": 1.0, "create": 1.0}, "o"), models=Bandit(EVEN, "m"))
    for _ in range(30):
        adaptive.learn(candidate("mutate", "a", 0.5), better=0)
        adaptive.learn(candidate("create", "b", 0.9), better=3)
        adaptive.learn(candidate("create", "b", None), better=0)
    operators, models = adaptive.operators.shares(), adaptive.models.shares() if adaptive.models else {}
    assert operators["mutate"].reward > 0.8 and operators["create"].reward < 0.15
    assert models["a"].chance > 5 * models["b"].chance


def test_with_one_model_there_is_no_choice() -> None:
    """The draft names none, and the proposer asks the one there is."""
    assert Adaptive(operators=Bandit(EVEN, "o")).model(3) == ""
