"""The workload itself; the distributions behind the generators are tested in test_workload.py."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.workload import VECTORS, Workload, WorkloadError

CALM = settings(derandomize=True, deadline=None)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Up to 20 requests in any order, some of which continue an earlier one's prefix."""
    n = draw(st.integers(1, 20))
    prompts: list[int] = []
    blocks: list[list[int]] = []
    fresh = 0
    for request in range(n):
        start: list[int] = []
        if request and draw(st.booleans()):
            earlier = blocks[draw(st.integers(0, request - 1))]
            start = earlier[: draw(st.integers(0, len(earlier)))]
        more = draw(st.integers(0, 3))
        blocks.append(start + list(range(fresh, fresh + more)))
        fresh += more
        prompts.append(16 * len(blocks[-1]) + draw(st.integers(1, 100)))
    return Workload.of(
        "drawn",
        draw(st.lists(st.floats(0, 1000), min_size=n, max_size=n)),
        prompts,
        draw(st.lists(st.integers(1, 500), min_size=n, max_size=n)),
        blocks=blocks,
        hash_block=16,
        client=range(n),
        prediction_error=draw(st.sampled_from([0.0, 0.5])),
    )


def content(workload: Workload, request: int) -> tuple[object, ...]:
    """What a request is, apart from when it arrives."""
    fields = [name for name in VECTORS if name != "arrival"]
    return (*(getattr(workload, name)[request] for name in fields), *workload.blocks(request))


def same(one: Workload, other: Workload) -> bool:
    """Equal in every request and in what is said of them."""
    arrays = (*VECTORS, "block_offsets", "block_ids")
    said = ("name", "hash_block", "prediction_error", "origin")
    return all(np.array_equal(getattr(one, each), getattr(other, each)) for each in arrays) and all(
        getattr(one, each) == getattr(other, each) for each in said
    )


@CALM
@given(workloads(), st.floats(0, 1000), st.floats(0.1, 1000))
def test_slices_are_parts_of_the_whole(workload: Workload, start: float, length: float) -> None:
    """Just the requests that arrive in the window, unchanged, from time zero on; nothing is lost between slices."""
    inside = np.flatnonzero((workload.arrival >= start) & (workload.arrival < start + length))
    if not len(inside):
        with pytest.raises(WorkloadError, match="slice another part"):
            workload.slice(start, start + length)
        return
    part = workload.slice(start, start + length)
    assert np.array_equal(part.arrival, workload.arrival[inside] - start)
    assert [content(part, i) for i in range(len(part))] == [content(workload, i) for i in inside.tolist()]


@CALM
@given(workloads(), st.floats(0.01, 100))
def test_scaling_changes_the_rate_and_nothing_else(workload: Workload, rate: float) -> None:
    """Gaps stay in proportion; requests stay what they are."""
    if workload.duration < 1e-6:
        return
    scaled = workload.scaled(rate)
    assert scaled.rate == pytest.approx(rate)
    assert scaled.arrival[0] == workload.arrival[0]
    assert np.diff(scaled.arrival) == pytest.approx(np.diff(workload.arrival) * workload.rate / rate, abs=1e-6)
    assert [content(scaled, i) for i in range(len(scaled))] == [content(workload, i) for i in range(len(workload))]


@CALM
@given(workloads(), st.integers(1, 80), st.integers(1, 300))
def test_clipping_keeps_what_fits(workload: Workload, prompt: int, output: int) -> None:
    """Shorter requests are untouched; longer ones keep the start of their prompt and no more blocks than that has."""
    clipped = workload.clipped(prompt, output)
    assert np.array_equal(clipped.prompt, np.minimum(workload.prompt, prompt))
    assert np.array_equal(clipped.output, np.minimum(workload.output, output))
    assert clipped.predicted.max() <= output
    for i in range(len(workload)):
        kept = clipped.blocks(i)
        assert np.array_equal(kept, workload.blocks(i)[: len(kept)])
        assert len(kept) == min(len(workload.blocks(i)), -(-clipped.prompt[i] // 16))
    assert (clipped.known_blocks() <= workload.known_blocks()).all()
    assert same(workload.clipped(), workload)


@CALM
@given(workloads())
def test_known_blocks_are_those_an_earlier_request_had(workload: Workload) -> None:
    """Against a plain search with a set."""
    seen: set[int] = set()
    for i, known in enumerate(workload.known_blocks()):
        ids = workload.blocks(i).tolist()
        assert known == next((place for place, each in enumerate(ids) if each not in seen), len(ids))
        seen.update(ids)


@CALM
@given(st.integers(0, 2**32), st.floats(0.05, 2))
def test_predictions_have_the_chosen_error(seed: int, error: float) -> None:
    """Their log-ratio to the truth has mean 0 and that deviation; error 0 is the oracle, and results can say so."""
    workload = Workload.of("w", np.arange(2000.0), np.ones(2000), np.full(2000, 10_000))
    drawn = workload.with_predictions(error, seed)
    ratio = np.log(drawn.predicted / drawn.output)
    assert ratio.mean() == pytest.approx(0, abs=5 * error / math.sqrt(2000) + 1e-3)
    assert ratio.std() == pytest.approx(error, rel=0.1)
    assert drawn.predictions == f"predictions with log-normal error, sigma {error:g}" and not drawn.oracle
    oracle = drawn.with_predictions(0)
    assert oracle.oracle and oracle.predictions == "oracle: true output lengths"
    assert np.array_equal(drawn.predicted, workload.with_predictions(error, seed).predicted)


def test_by_default_no_true_length_is_shown() -> None:
    """Predictions have an error unless asked for otherwise."""
    workload = Workload.of("w", np.arange(100.0), np.ones(100), np.full(100, 1000))
    assert not workload.oracle and workload.prediction_error == 0.5
    assert Workload.of("w", [0.0], [1], [5], predicted=[7]).predictions == "predictions given with the workload"


def test_splits_follow_one_another_in_time() -> None:
    """Every request is in just one part, test later than validation later than train; each part starts anew."""
    workload = Workload.of("w", np.arange(101.0), np.ones(101), np.arange(1, 102))
    parts = workload.splits()
    assert list(parts) == ["train", "validation", "test"]
    assert np.concatenate([part.output for part in parts.values()]).tolist() == list(range(1, 102))
    assert [len(part) for part in parts.values()] == [50, 25, 26]
    assert all(part.arrival[0] < 1.001 for part in parts.values())
    with pytest.raises(WorkloadError, match="sum 1"):
        workload.splits({"train": 0.5})


def test_requests_are_put_in_the_order_of_arrival() -> None:
    """With all they have; equal times keep their order."""
    workload = Workload.of("w", [2.0, 0.0, 2.0], [1, 2, 3], [4, 5, 6], blocks=[[7], [8], []], hash_block=4)
    assert workload.prompt.tolist() == [2, 1, 3] and workload.output.tolist() == [5, 4, 6]
    assert [workload.blocks(i).tolist() for i in range(3)] == [[8], [7], []]
    assert (workload.duration, workload.rate) == (2.0, 1.0)


def test_service_levels_are_one_or_one_each() -> None:
    """Infinite by default."""
    workload = Workload.of("w", [0.0, 1.0], [1, 1], [1, 1])
    assert np.isinf(workload.ttft).all()
    assert workload.with_slos(1.0, [0.1, 0.2]).tpot.tolist() == [0.1, 0.2]


def test_arrays_cannot_be_written() -> None:
    """What a policy or simulator gets of a workload stays as it is."""
    arrival = np.zeros(3)
    workload = Workload.of("w", arrival, [1, 1, 1], [1, 1, 1])
    with pytest.raises(ValueError, match="read-only"):
        workload.output[0] = 2
    arrival[0] = 5
    assert workload.arrival[0] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Workload.of("w", [0.0, math.nan], [1, 1], [1, 1]), "request 1: arrival is nan; give a finite time"),
        (lambda: Workload.of("w", [0.0], [0], [1]), "request 0: prompt is 0; give at least 1 token"),
        (lambda: Workload.of("w", [0.0], [1], [1.5]), "output contains 1.5; give whole numbers"),
        (lambda: Workload.of("w", [0.0], [1], [1], ttft=[0]), "ttft is 0; give seconds above 0"),
        (lambda: Workload.of("w", [0.0], [1, 2], [1]), "2 prompt for 1 arrivals"),
        (lambda: Workload.of("w", [0.0], [1], [1], blocks=[[1, 2]]), "prefix_blocks is 2; give one for every 512"),
        (
            lambda: Workload.of("w", [0, 1], [9, 9], [1, 1], blocks=[[1, 2], [3, 2]], hash_block=8),
            "request 1: block 2 is negative or follows 3 here and 1 elsewhere",
        ),
        (lambda: Workload.of("w", [0.0], [1], [1]).scaled(0), "rate 0: give arrivals per second above 0"),
        (lambda: Workload.of("w", [0.0], [1], [1]).scaled(1), "all requests arrive at once"),
        (lambda: Workload.of("w", [0.0], [1], [1]).clipped(0), "max_prompt is 0"),
        (lambda: Workload.of("w", [0.0], [1], [1]).with_predictions(-1), "prediction error -1"),
    ],
)
def test_requests_without_a_meaning_are_refused(make: Callable[[], Workload], message: str) -> None:
    """In one sentence that names the request, the value and the remedy."""
    with pytest.raises(WorkloadError, match=message):
        make()
