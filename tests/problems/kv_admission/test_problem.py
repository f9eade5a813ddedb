"""The problem: what is asked, what is decided, how a decision is checked, and what is refused at the door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.trace_profiles import PROFILES
from evaluators.evaluate import Allowance, evaluate
from evaluators.sandbox.supervisor import Sandbox
from problems.base import Instance, InstanceError, InvalidDecision
from problems.kv_admission.instances import LOADS, PLENTY, PROFILE, SPLITS, generate
from problems.kv_admission.memory import areas, centroids, held_at_ends
from problems.kv_admission.problem import KvAdmission
from tests.problems.kv_admission.plain import FOLDER, Asked, held, instances, load, make

PROBLEM = KvAdmission()
GOOD = {"prompt": [3, 4], "output": [2, 5], "arrival": [0, 1], "capacity": 20}


# Memory and cost


@settings(max_examples=200, deadline=None)
@given(instances(8), st.lists(st.integers(0, 9), min_size=8, max_size=8))
def test_memory_is_counted_as_the_model_says(instance: Instance, delays: list[int]) -> None:
    """Memory in the last rounds equals a plain count round by round, and its largest is the largest of all rounds."""
    start = instance["arrival"] + np.array(delays[: len(instance["arrival"])])
    plain = held(instance, start.tolist())
    end, tokens = held_at_ends(instance["prompt"], instance["output"], start)
    assert tokens.tolist() == [plain[t] for t in end.tolist()]
    assert tokens.max() == max(plain)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50))
def test_area_and_centroid_are_sums_over_rounds(prompt: int, output: int) -> None:
    """The closed forms equal the sums they stand for."""
    s, o = np.array([prompt]), np.array([output])
    rounds = np.arange(1, output + 1)
    assert areas(s, o)[0] == (prompt + rounds).sum()
    assert centroids(s, o)[0] == pytest.approx(((prompt + rounds) * (rounds - 0.5)).sum() / (prompt + rounds).sum())


@settings(max_examples=200, deadline=None)
@given(instances(8), st.lists(st.integers(0, 6), min_size=8, max_size=8))
def test_check_accepts_exactly_the_schedules(instance: Instance, delays: list[int]) -> None:
    """A decision passes if and only if a plain count of every round stays within the capacity."""
    start = instance["arrival"] + np.array(delays[: len(instance["arrival"])])
    if max(held(instance, start.tolist())) <= int(instance["capacity"]):
        PROBLEM.check(instance, start)
        assert PROBLEM.cost(instance, start) == (start + instance["output"] - instance["arrival"]).sum()
    else:
        with pytest.raises(InvalidDecision, match="more than the capacity"):
            PROBLEM.check(instance, start)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (np.array([0]), r"shape \(2,\)"),
        (np.array([0.0, 1.0]), "int64"),
        (np.array([0, 0]), "request 1 starts in round 0, before it arrives in 1"),
        (np.array([0, 2**62]), "beyond"),
    ],
)
def test_what_is_no_schedule_is_named(decision: np.ndarray, said: str) -> None:
    """Wrong shape, wrong type, too early, absurdly late."""
    with pytest.raises(InvalidDecision, match=said):
        PROBLEM.check(PROBLEM.parse(GOOD, "good"), decision)


# Questions


@settings(max_examples=150, deadline=None)
@given(instances(8), st.integers(0, 2**31))
def test_whatever_the_scores_the_decision_is_a_schedule(instance: Instance, seed: int) -> None:
    """Random scores, infinite ones among them: every request starts, in time and within memory."""
    rng = np.random.default_rng(seed)
    asked = Asked(lambda requests, state: rng.choice([-np.inf, 0.0, 1.0, np.inf], len(requests.prompt)))
    PROBLEM.check(instance, PROBLEM.decide(instance, asked))


@settings(max_examples=150, deadline=None)
@given(instances(8))
def test_what_is_shown_is_the_state_of_the_server(instance: Instance) -> None:
    """Every field of every question, against a plain count from the final schedule."""
    asked = Asked(load("mc_sf"))
    start = PROBLEM.decide(instance, asked)
    end = start + instance["output"]
    capacity = int(instance["capacity"])
    for requests, state in asked.questions:
        now = int(state.now)
        waiting = np.flatnonzero((instance["arrival"] <= now) & (start >= now))
        runs = (start < now) & (end > now)
        assert (state.waiting, state.running, state.capacity) == (len(waiting), runs.sum(), capacity)
        assert len(waiting) > 1
        for field in ("prompt", "output", "arrival"):
            assert getattr(requests, field).tolist() == instance[field][waiting].tolist()
        assert requests.waited.tolist() == (now - requests.arrival).tolist()
        assert requests.peak.tolist() == (requests.prompt + requests.output).tolist()
        assert requests.area.tolist() == areas(instance["prompt"], instance["output"])[waiting].tolist()
        prompt, output, arrival = (instance[name][runs].tolist() for name in ("prompt", "output", "arrival"))
        running = make(prompt, output, arrival, capacity)
        memory = [*held(running, start[runs].tolist()), *[0] * 40] if runs.any() else [0] * (now + 40)
        assert state.free == capacity - memory[now + 1]
        for i, room in zip(waiting.tolist(), requests.room.tolist(), strict=True):
            s, rounds = int(instance["prompt"][i]), range(1, int(instance["output"][i]) + 1)
            assert room == min(capacity - memory[now + j] - s - j for j in rounds)


def test_no_question_where_there_is_no_choice() -> None:
    """One request at a time is never asked about, and starts as soon as it fits."""
    asked = Asked(load("fcfs"))
    assert PROBLEM.decide(make([3, 3, 3], [2, 2, 2], [0, 1, 5], 5), asked).tolist() == [0, 2, 5]
    assert asked.questions == []


def test_the_first_that_does_not_fit_blocks_those_behind() -> None:
    """A large request put first keeps the memory for itself; put last, it lets the small one pass.

    M = 10: the first runs in rounds 1–4 with up to 9 tokens; the small one would fit beside it in its first round.
    """
    instance = make([5, 6, 1], [4, 3, 1], [0, 1, 1], 10)
    assert PROBLEM.decide(instance, Asked(lambda r, s: -r.peak)).tolist() == [0, 4, 4]
    assert PROBLEM.decide(instance, Asked(lambda r, s: r.peak)).tolist() == [0, 4, 1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(lambda r: r.prompt * np.nan, "NaN"), (lambda r: r.prompt[:1], "shape"), (lambda r: r.prompt[:, None], "shape")],
)
def test_scores_that_are_none_are_invalid_decisions(answer: Any, said: str) -> None:
    """NaN, too few, too many dimensions: never mended in silence."""
    instance = make([3, 4], [2, 5], [0, 0], 20)
    with pytest.raises(InvalidDecision, match=said):
        PROBLEM.decide(instance, Asked(lambda requests, state: answer(requests)))


def test_a_sealed_heuristic_decides_as_one_in_this_process() -> None:
    """Through the sandbox: the same cost as with the stub, and NaN becomes the verdict."""
    probe = PROBLEM.split("probe")
    source = (FOLDER / "kv_area_backfill.py").read_text()
    nan = "import numpy as np\ndef admit_priority(requests, state):\n    return requests.prompt * np.nan\n"
    with Sandbox() as sandbox:
        sealed = evaluate(PROBLEM, source, probe, sandbox, Allowance())
        refused = evaluate(PROBLEM, nan, probe, sandbox, Allowance())
    assert sealed.verdict == "ok", sealed.detail
    rule = load("kv_area_backfill")
    assert list(sealed.costs) == [PROBLEM.cost(i, PROBLEM.decide(i, Asked(rule))) for i in probe]
    assert refused.verdict == "invalid_decision"


# The door


def test_a_users_instance_is_read() -> None:
    """Lists and a number as JSON gives them; ids are allowed and not kept."""
    instance = PROBLEM.parse(GOOD | {"id": ["a", "b"]}, "mine")
    assert {name: array.tolist() for name, array in instance.arrays.items()} == GOOD


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": [3, 18]}, "request 1 holds 23 tokens in its last round .* more than the 'capacity' of 20"),
        ({"prompt": [3, 0]}, "'prompt' of request 1 is 0; it must lie in 1"),
        ({"output": [0, 5]}, "'output' of request 0 is 0; it must lie in 1"),
        ({"arrival": [0, -1]}, "'arrival' of request 1 is -1; it must lie in 0"),
        ({"prompt": [3.5, 4]}, "'prompt' holds fractions"),
        ({"capacity": 20.5}, "'capacity' holds fractions"),
        ({"capacity": [20]}, "'capacity' must be a number"),
        ({"prompt": [], "output": [], "arrival": []}, "there are no requests"),
        ({"prompt": [3]}, "different lengths"),
        ({"prompt": [float("nan"), 4]}, "not finite"),
        ({"arrival": [0, 2**29]}, "rounds, more than"),
        ({"id": [7, 7]}, "requests 0 and 1 have the same id 7"),
        ({"id": [7]}, "names 1 requests and 'output' gives 2"),
        ({"id": [None, 1]}, "'id' must be a flat list"),
        ({"deadline": [1, 2]}, "unknown key 'deadline'"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_request_and_the_rule(change: dict[str, Any], said: str) -> None:
    """One sentence: where, what, the value, the remedy."""
    with pytest.raises(InstanceError, match=said):
        PROBLEM.parse(GOOD | change, "mine")


@pytest.mark.parametrize("key", ["prompt", "output", "arrival", "capacity"])
def test_a_missing_key_is_named(key: str) -> None:
    """No default is assumed for anything."""
    with pytest.raises(InstanceError, match=f"'{key}' is missing"):
        PROBLEM.parse({name: value for name, value in GOOD.items() if name != key}, "mine")


# Instances


def test_instances_are_the_same_on_every_machine_and_day() -> None:
    """The generators are pinned by content: a change of NumPy or code that alters instances would show here."""
    assert generate("train", "conv", 50, 0).digest == "b5d1ac4a4691b22cb00e837383610a35"
    assert generate("train", "small", 10, 2).digest == "51357f1be1d86dc44e6477848b0f61ba"
    assert generate("kv_bound", "jaillet-2", 50, 1).digest == "0c8caa0c7b100dacfbba697d92d0d0f7"


def test_splits_do_not_mix() -> None:
    """No instance of one split occurs in another, and all are valid."""
    every = [instance for split in PROBLEM.splits for instance in PROBLEM.split(split)]
    assert len({instance.digest for instance in every}) == len(every)
    assert len({instance.name for instance in every}) == len(every)
    for instance in every:
        PROBLEM.validate(instance)


def test_families_are_what_their_page_says() -> None:
    """Main families: memory for at least twelve requests of mean peak, and the load they are named for."""
    assert set(PROFILE.values()) <= set(PROFILES)
    for family in SPLITS["test"]:
        for index in range(3):
            instance = generate("check", family, 100, index)
            if family == "small":
                continue
            peak = instance["prompt"] + instance["output"]
            assert int(instance["capacity"]) >= np.floor(PLENTY * peak.mean())
            if family == "batch":
                assert not instance["arrival"].any()
                continue
            work = areas(instance["prompt"], instance["output"]).sum() / int(instance["capacity"])
            assert instance["arrival"].max() == pytest.approx(work / LOADS[index], abs=1)
