"""When a policy is asked, on the real `Scheduler`, with a made-up model."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import prometheus_client
import pytest
from vllm.v1.core.sched.scheduler import Scheduler

from engine_bridge.policy import Array, View
from engine_bridge.vllm.guard import Guard
from engine_bridge.vllm.metrics import Metrics, collectors
from engine_bridge.vllm.scheduler import LOG, hooked
from engine_bridge.vllm.settings import Settings
from engine_bridge.vllm.steering import Steering
from tests.vllm.crowd import Crowd


def forget_metrics() -> None:
    """Leave none of ours in this process's registry; an export that other tests start here registers its own."""
    registry = prometheus_client.REGISTRY
    for each in {each for name, each in registry._names_to_collectors.items() if name.startswith("scheduling_policy")}:
        registry.unregister(each)
    collectors.cache_clear()


@pytest.fixture(autouse=True)
def no_metrics() -> Iterator[None]:
    """Neither before nor after."""
    forget_metrics()
    yield
    forget_metrics()


class ShortestFirst:
    """Orders by the number of tokens asked for, and counts its questions, also those that somebody waits for.

    `scalars` is what it claims to read.
    """

    functions = frozenset({"rank_waiting"})
    fields = ("predicted",)
    restarts = 0
    active = True

    def __init__(self, *scalars: str) -> None:
        self.scalars = scalars
        self.questions = self.waited_for = 0
        self._posted: Array | None = None

    def ask(self, function: str, view: View) -> Array:
        """The scores."""
        self.questions += 1
        self.waited_for += 1
        return view.vectors[0]

    def post(self, function: str, view: View) -> None:
        """Keep the scores for `collect`."""
        self.questions += 1
        self._posted = view.vectors[0]

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


def predictions(crowd: Crowd) -> list[int]:
    """Tokens asked for by those that wait, in their order."""
    return [request.max_tokens for request in crowd.scheduler.waiting]


def test_nobody_waits_for_an_answer_because_of_a_newcomer() -> None:
    """One of twelve is new: it stands behind the others for one step, then where it belongs; no question is waited for.

    Were they many, they would be asked about at once.
    """
    policy = ShortestFirst("now")
    crowd = crowd_of(policy, ahead=1)
    before = policy.waited_for
    crowd.add(10_000, 5)
    crowd.step()
    assert predictions(crowd)[-1] == 5
    assert predictions(crowd)[:-1] == sorted(predictions(crowd)[:-1])
    crowd.step()
    assert predictions(crowd) == sorted(predictions(crowd))
    assert policy.waited_for == before
    for output in (4, 3):
        crowd.add(10_000, output)
    crowd.step()
    assert predictions(crowd)[:3] == [3, 4, 5]
    assert policy.waited_for == before + 1


@pytest.mark.parametrize(("scalars", "outputs"), [((), range(4, 400, 4)), (("now",), [4])])
def test_where_all_places_are_taken_the_next_one_free_finds_its_order(
    scalars: tuple[str, ...], outputs: Sequence[int]
) -> None:
    """One ends and another starts, the shortest first, and no step but the first waits for an answer.

    A policy that reads the time is asked where that happens at each step.
    """
    policy = ShortestFirst(*scalars)
    crowd = Crowd(hooked(Scheduler), 4, 0, room=0)
    crowd.scheduler.steer(policy, Settings())
    for output in (2, 3, 4, 5):
        crowd.add(8, output)
    crowd.step()
    wanted = random.Random(1).choices(outputs, k=40)
    for output in wanted:
        crowd.add(8, output)
    crowd.step()
    before, started = policy.waited_for, []
    while crowd.scheduler.waiting:
        output = crowd.scheduler.schedule()
        started += [crowd.scheduler.requests[new.req_id].max_tokens for new in output.scheduled_new_reqs]
        crowd.finish(output)
    assert started == sorted(wanted)
    assert policy.waited_for <= before + 1  # for the first


def request_of(name: str) -> SimpleNamespace:
    """As much of a request as the hooks read."""
    return Waiting(request_id=name, num_output_tokens=0, is_finished=lambda: False, sampling_params=None)


class Waiting(SimpleNamespace):
    """Known by itself, as vLLM's requests are, not by what it holds."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


@pytest.mark.parametrize(("scalars", "ahead"), [(("now",), 0), ((), 0), ((), 1)])
def test_tokens_that_come_after_a_preemption_are_seen(scalars: tuple[str, ...], ahead: int) -> None:
    """Where steps overlap, a request gets a token while it waits again: the next question says so, and there is one.

    Also where the order would stay: the answer that says so was to the question before.
    """
    first, second = request_of("first"), request_of("second")
    blocks = SimpleNamespace(get_num_free_blocks=lambda: 10)
    scheduler = SimpleNamespace(
        waiting=deque([first, second]),
        running=[],
        requests={"first": first, "second": second},
        max_num_scheduled_tokens=100,
        max_num_running_reqs=8,
        block_size=16,
        cache_config=SimpleNamespace(num_gpu_blocks=11, block_size=16, enable_prefix_caching=False),
        kv_cache_manager=SimpleNamespace(block_pool=blocks),
    )
    policy = Watched(*scalars)
    steering = Steering(scheduler, Guard(policy, Metrics(), LOG), Settings(ahead=ahead), Metrics())
    outputs = [SimpleNamespace(num_scheduled_tokens={"first": 1}, finished_req_ids=set()) for _ in range(3)]
    for output in outputs[:2]:
        steering.before()
        steering.after(output)
    assert policy.views and not any(map(any, policy.views))
    first.num_output_tokens = 3
    steering.updated(outputs[0])
    steering.before()
    steering.after(outputs[2])
    assert policy.views[-1] == [3.0, 0.0]


class Watched(ShortestFirst):
    """Reads the tokens generated, keeps what it was shown, and leaves all where they are."""

    fields = ("output",)

    def __init__(self, *scalars: str) -> None:
        super().__init__(*scalars)
        self.views: list[list[float]] = []

    def ask(self, function: str, view: View) -> Array:
        """All alike."""
        self.views.append(view.vectors[0].tolist())
        return np.zeros(len(view))

    def post(self, function: str, view: View) -> None:
        """Keep the answer for `collect`."""
        self._posted = self.ask(function, view)
