"""When a policy is asked, on the real `Scheduler`, with a made-up model."""

from __future__ import annotations

import random

import pytest
from vllm.v1.core.sched.scheduler import Scheduler

from engine_bridge.policy import Array, View
from engine_bridge.vllm.scheduler import hooked
from engine_bridge.vllm.settings import Settings
from tests.vllm.crowd import Crowd


class ShortestFirst:
    """Orders by the number of tokens asked for, and counts its questions; `scalars` is what it claims to read."""

    functions = frozenset({"rank_waiting"})
    fields = ("predicted",)
    restarts = 0
    active = True

    def __init__(self, *scalars: str) -> None:
        self.scalars = scalars
        self.questions = 0
        self._posted: Array | None = None

    def ask(self, function: str, view: View) -> Array:
        """The scores."""
        self.questions += 1
        return view.vectors[0]

    def post(self, function: str, view: View) -> None:
        """Keep the scores for `collect`."""
        self._posted = self.ask(function, view)

    def collect(self, function: str) -> Array:
        """The scores asked for."""
        assert self._posted is not None
        return self._posted

    def close(self) -> None:
        """There is nothing to end."""


def crowd_of(policy: ShortestFirst, ahead: int) -> Crowd:
    """Four that run and twelve that wait, steered by `policy`."""
    crowd = Crowd(hooked(Scheduler), 4, 12)
    crowd.scheduler.steer(policy, Settings(ahead=ahead))
    crowd.fill()
    for _ in range(3):
        crowd.step()
    return crowd


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize(("scalars", "asks"), [((), False), (("max_tokens",), False), (("now",), True)])
def test_a_question_whose_answer_cannot_have_changed_is_not_put(
    scalars: tuple[str, ...], asks: bool, ahead: int
) -> None:
    """While the same requests wait, a policy that reads nothing that changes is left alone; then it is asked again."""
    policy = ShortestFirst(*scalars)
    crowd = crowd_of(policy, ahead)
    before = policy.questions
    for _ in range(5):
        crowd.step()
    assert (policy.questions > before) == asks
    crowd.turn()
    before = policy.questions
    crowd.step()
    assert policy.questions > before


@pytest.mark.parametrize("ahead", [0, 1])
def test_the_order_is_that_of_a_policy_asked_at_each_step(ahead: int) -> None:
    """Whoever comes and goes, those that wait stand as they do for a policy that is never left alone."""
    rng = random.Random(ahead)
    crowds = [crowd_of(ShortestFirst(*scalars), ahead) for scalars in ((), ("now",))]
    for _ in range(60):
        turns = rng.choice((0, 0, 1, 2))
        for crowd in crowds:
            for _ in range(turns):
                crowd.turn()
            crowd.step()
        orders = [[request.request_id for request in crowd.scheduler.waiting] for crowd in crowds]
        assert orders[0] == orders[1]
        assert len(orders[0]) == 12
