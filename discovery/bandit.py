"""Which of several ways to make a candidate is worth its cost: operators, and models, chosen by what they brought."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping
from dataclasses import dataclass

from discovery.candidate import Candidate

KEPT = 0.99
"""What is left of an observation with every later one: after 69, half."""
PRIOR = 5.0
"""How many observations of the overall mean every arm starts with."""
EXPECTED = 0.2
"""The reward expected before anything is known."""


@dataclass(slots=True)
class _Arm:
    weight: float
    pulls: float = 0.0
    reward: float = 0.0
    tokens: float = 0.0
    money: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """What is known of an arm.

    chance: how often it is drawn now, about (a repair: while one waits); reward: its mean, lately, in [0, 1].
    """

    chance: float
    reward: float


class Bandit:
    """Thompson sampling with discounted rewards (Chapelle and Li, 2011; Raj and Kalyani, 2017), per cost.

    Each arm has a weight, from the config. For every draw its mean reward is sampled from a Beta posterior, in which
    old observations fade; the arm is then drawn by weight · sampled reward / cost. A candidate's cost is half its
    place in the run, half its tokens (or money), relative to the mean of all: what needs no model is not free.
    Draws depend on the seed, the number and what it was told, in its order.
    """

    def __init__(self, weights: Mapping[str, float], seed: str) -> None:
        self._arms = {name: _Arm(weight) for name, weight in weights.items()}
        self._seed = seed

    def draw(self, number: int, among: Container[str] | None = None) -> str:
        """The arm for candidate `number`, one of `among` if that is given and holds any."""
        rng = random.Random(f"{self._seed}:{number}")
        mean = self._mean()
        arms = {name: arm for name, arm in self._arms.items() if among is None or name in among} or self._arms
        chances = []
        for arm in arms.values():
            good = PRIOR * mean + arm.reward
            theta = max(rng.betavariate(good, max(PRIOR + arm.pulls - good, 1e-9)), 1e-9)  # which may be 0 by underflow
            chances.append(arm.weight * theta / self._price(arm))
        return rng.choices(list(arms), weights=chances)[0]

    def tell(self, name: str, reward: float, *, tokens: int, money: float) -> None:
        """What an arm brought, in [0, 1], and what it cost; unknown arms are passed over."""
        if name not in self._arms:
            return
        for arm in self._arms.values():
            arm.pulls *= KEPT
            arm.reward *= KEPT
            arm.tokens *= KEPT
            arm.money *= KEPT
        told = self._arms[name]
        told.pulls += 1
        told.reward += reward
        told.tokens += tokens
        told.money += money

    def shares(self) -> dict[str, Share]:
        """How the arms stand, at the mean of what is sampled."""
        mean = self._mean()
        rewards = {name: (PRIOR * mean + arm.reward) / (PRIOR + arm.pulls) for name, arm in self._arms.items()}
        values = {name: arm.weight * rewards[name] / self._price(arm) for name, arm in self._arms.items()}
        total = sum(values.values())
        return {name: Share(values[name] / total, rewards[name]) for name in self._arms}

    def _mean(self) -> float:
        """The mean reward of all arms; some is always expected, so that none is given up for good."""
        pulls, reward = sum(arm.pulls for arm in self._arms.values()), sum(arm.reward for arm in self._arms.values())
        return (EXPECTED + reward) / (1 + pulls)

    def _price(self, arm: _Arm) -> float:
        """What a candidate of an arm costs, as a share of the mean; near it while little is known.

        In money if any was spent, else in tokens; half of it is the candidate itself.
        """
        arms = self._arms.values()
        spent = [each.money for each in arms]
        own = arm.money
        if not any(spent):
            spent, own = [each.tokens for each in arms], arm.tokens
        if not any(spent):
            return 1.0
        mean = sum(spent) / sum(each.pulls for each in arms)
        return 0.5 + 0.5 * (PRIOR + own / mean) / (PRIOR + arm.pulls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """What a run learns to choose: the operator, and the model, where there are several."""

    operators: Bandit
    models: Bandit | None = None

    def model(self, number: int) -> str:
        """The model to ask first for candidate `number`; empty where there is no choice."""
        return self.models.draw(number) if self.models else ""

    def learn(self, candidate: Candidate, better: int) -> None:
        """Take in a judged candidate; `better`: members of its island that were at least as good before it came.

        The reward is 1 for the best of its island, half of that for each place below, 0 for what has no score.
        """
        reward = 0.0 if candidate.score is None else 0.5**better
        tokens, money = candidate.tokens, candidate.cost
        self.operators.tell(candidate.draft.operator, reward, tokens=tokens, money=money)
        if self.models:
            self.models.tell(candidate.model, reward, tokens=tokens, money=money)
