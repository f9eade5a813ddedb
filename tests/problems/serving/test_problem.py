"""The problem `serving`: its bound holds, what policies answer is checked, and files with several functions work."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.cost import load_profile
from engine_bridge.policy import CORE, ENGINES, Trusted, View
from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import baselines
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import Verdict
from problems.base import Array, Instance, InstanceError, InvalidDecision
from problems.registry import load_problem
from problems.serving.bounding import cacheable, least_times, never_preempts
from problems.serving.instances import FACTORS, FAMILIES, FRESH, SPLITS, START, generate, traffic_of
from problems.serving.problem import COMPANIONS, Serving, ServingSlo
from tests.problems.serving.lab import changed, policy, serve, small

PROBLEMS = (Serving(), ServingSlo())
PROFILES = ("h200-llama3-8b", "h200-mixtral-8x7b", "h200-qwen3-30b-a3b")


def times(instance: Instance, by: object = None) -> Array:
    """The decision that a policy leads to."""
    outcome = serve(instance, by) if by else serve(instance)  # type: ignore[arg-type]
    return np.stack((outcome.first_token, outcome.finish), axis=1)


def chaos(seed: int) -> Trusted:
    """A policy that answers every question of the simulator at random."""
    rng = np.random.default_rng(seed)

    def several(shown: Callable[[View], int], most: int) -> Callable[[View], Array]:
        return lambda view: rng.integers(0, most, shown(view))

    one: dict[str, Callable[[View], object]] = {
        "token_budget": lambda view: rng.integers(1, 200),
        "admit_limit": lambda view: view.running + rng.integers(0, 3),
        "layer_groups": lambda view: rng.choice([1, 1, 2, 16]),
        "hold": several(lambda view: int(view.running), 2),
        "chunk": several(len, 60),
        "rank_waiting": several(len, 100),
        "rank_running": several(len, 100),
    }
    chosen = [name for name in one if rng.random() < 0.5]
    return Trusted({name: one[name] for name in chosen})


@st.composite
def crowds(draw: st.DrawFn) -> Instance:
    """Few requests with shared prefixes on an engine with little memory and any of the shipped cost models."""
    n = draw(st.integers(1, 7))
    numbers = lambda most: draw(st.lists(st.integers(1, most), min_size=n, max_size=n))  # noqa: E731
    prompt, output = numbers(150), numbers(40)
    arrival = np.array(numbers(60)) / 100
    kinds = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    known = [draw(st.integers(0, -(-tokens // 32))) for tokens in prompt]
    blocks = [[100 * kind + place for place in range(count)] for kind, count in zip(kinds, known, strict=True)]
    groups = [ids[0] if ids else -1 for ids in blocks]
    instance = small(arrival.tolist(), prompt, output, blocks=blocks, hash_block=32, group=groups)
    least = max(-(-(p + o) // 16) for p, o in zip(prompt, output, strict=True))
    more = draw(st.integers(0, 20))
    profile = load_profile(draw(st.sampled_from(PROFILES)))
    cost = profile.vector * np.where(np.arange(9) == 6, draw(st.sampled_from([1.0, 1000.0])), 1.0)
    cost[:2] = draw(st.sampled_from([0.0, 1e-3]))
    return changed(instance, blocks=least + more, max_running=draw(st.integers(1, 8)), cost=cost)


@given(crowds(), st.integers(0, 10**6))
@settings(max_examples=120, deadline=None)
def test_no_policy_is_faster_than_a_request_alone(instance: Instance, seed: int) -> None:
    """Bound ≤ cost, request by request: whatever a policy answers, with prefixes, preemption, chunks, layer groups.

    The cost models include one with dear KV, where recomputing would beat decoding, and one with costs per request.
    """
    decision = times(instance, chaos(seed))
    for problem in PROBLEMS:
        problem.check(instance, decision)
        assert 0 < problem.bound(instance).value <= problem.cost(instance, decision)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_request_alone_meets_the_bound(profile: str) -> None:
    """Prefilled in one step and decoded at batch size 1: the gap is nothing but the rounding allowed for."""
    instance = changed(small([3.0], [1500], [40]), cost=load_profile(profile).vector)
    decision = times(instance)
    for problem in PROBLEMS:
        assert problem.cost(instance, decision) == pytest.approx(problem.bound(instance).value, rel=3e-9)


def test_the_bound_by_hand() -> None:
    """Two tokens of a prompt of 1,000: max(weights, 1,000·token) + pairs; then one decode over 1,001 tokens."""
    instance = small([0.0], [1000], [2])
    _, _, weights, _, token, pair, kv, *_ = load_profile("h200-llama3-8b").vector
    first, rest = least_times(instance)
    assert first[0] == pytest.approx(1000 * token + 500_500 * pair)
    assert rest[0] == pytest.approx(weights + 1001 * kv)
    assert Serving().bound(instance).value == pytest.approx((first[0] + rest[0]) / 2)


def test_only_what_another_request_has_can_be_cached() -> None:
    """Whole blocks of leading ids that two requests have; the last token of a prompt is always computed."""
    ids = [[1, 2, 3], [1, 2, 4], [9], [9]]
    instance = small([0.0] * 4, [96, 90, 32, 20], [1] * 4, blocks=ids, hash_block=32)
    assert cacheable(instance).tolist() == [64, 64, 16, 16]


def test_preemption_is_ruled_out_only_where_memory_cannot_run_out() -> None:
    """Two requests of 8 blocks at their largest: 16 blocks are enough, 15 are not, unless only one may run."""
    instance = small([0.0, 0.0], [100, 100], [20, 20])
    assert never_preempts(changed(instance, blocks=16))
    assert not never_preempts(changed(instance, blocks=15))
    assert never_preempts(changed(instance, blocks=15, max_running=1))


def test_costs_by_hand() -> None:
    """Normalised latency and the weighted service levels of two requests; a single token has no TPOT."""
    instance = changed(small([0.0, 1.0], [10, 10], [3, 1]), ttft=[2.0, 1.0], tpot=[0.5, 0.5])
    decision = np.array([[1.0, 4.0], [3.0, 3.0]])
    assert Serving().cost(instance, decision) == pytest.approx((4 / 3 + 2) / 2)
    assert ServingSlo().cost(instance, decision) == pytest.approx((0.5 * 1 / 2 + 0.5 * 1.5 / 0.5 + 0.5 * 2 / 1) / 2)
    reports = Serving().reports(instance, decision)
    assert reports["attainment"] == 0
    assert reports["ttft_p50"] == 1.5
    in_time = Serving().reports(instance, np.array([[1.0, 2.0], [1.5, 1.5]]))
    assert (in_time["attainment"], in_time["goodput"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda decision: decision[:1], "shape"),
        (lambda decision: decision.astype(np.float32), "float32"),
        (lambda decision: np.where(decision == decision.max(), np.nan, decision), "never finished"),
        (lambda decision: decision - [0.05, 0.0], "its first token; alone it takes"),
        (lambda decision: decision - [0.0, 0.05], "the rest of its output"),
    ],
)
def test_impossible_times_are_refused(change: Callable[[Array], Array], said: str) -> None:
    """Wrong shapes, requests that never end, and times that beat the machine."""
    instance = small([0.0, 0.0], [100, 200], [5, 5])
    decision = times(instance)
    Serving().check(instance, decision)
    with pytest.raises(InvalidDecision, match=said):
        Serving().check(instance, change(decision))


def test_the_standard_splits() -> None:
    """Each has every family, strict and relaxed levels from train on, and comes after the one before in its trace."""
    problem = Serving()
    seen: set[str] = set()
    for name in SPLITS:
        instances = problem.split(name)
        assert {instance.classes[0] for instance in instances} == set(FAMILIES)
        assert name == "probe" or {instance.classes[1] for instance in instances} == {"strict", "relaxed"}
        digests = {instance.digest for instance in instances}
        assert not digests & seen
        seen |= digests
        for instance in instances:
            problem.validate(instance)
            assert (instance["predicted"] != instance["output"]).any()
    first, second = (generate("code", window).digest for window in (0, 1))
    assert first != second


def test_requests_queue_on_train() -> None:
    """Under FCFS there is something to decide in every window: the cost is well above the bound."""
    problem = Serving()
    for instance in problem.split("train"):
        assert problem.cost(instance, times(instance)) > 1.5 * problem.bound(instance).value


def test_own_instances() -> None:
    """Lists of requests and the KV blocks; the rest is the standard engine without prefixes."""
    record = {
        "arrival": [0, 0.5],
        "prompt": [100, 20],
        "output": [5, 9],
        "predicted": [7, 9],
        "ttft": [1, 1],
        "tpot": [0.1, 0.1],
        "blocks": 100,
    }
    problem = Serving()
    instance = problem.parse(json.loads(json.dumps(record)), "own")
    assert len(traffic_of(instance)) == 2
    problem.check(instance, times(instance))
    for field, value, said in [
        ("prompt", [0, 20], "'prompt' holds 0; it must be a whole number from 1"),
        ("prompt", [1.5, 20], "whole number"),
        ("arrival", [1, 0.5], "sort the requests"),
        ("ttft", [0, 1], "'ttft' holds 0"),
        ("tpot", [1], "lists of"),
        ("blocks", 2, "blocks"),
    ]:
        with pytest.raises(InstanceError, match=said):
            problem.parse({**record, field: value}, "own")
    with pytest.raises(InstanceError):
        problem.parse({name: [] if name != "blocks" else 9 for name in record}, "own")


def test_companions_are_the_functions_of_the_simulator() -> None:
    """Prompts tell of the core; the simulator's extensions can be defined too."""
    assert set(Serving.entry.functions) == ENGINES["sim"]
    assert {each.function for each in COMPANIONS if each.told} | {"rank_waiting"} == set(CORE)


BUDGET_ONLY = "def token_budget(view):\n    return 512 if view.running else view.max_tokens\n"
SOURCES = {
    "one function": "def rank_waiting(view):\n    return view.prompt\n",
    "a companion alone": BUDGET_ONLY,
    "both": "def rank_waiting(view):\n    return view.prompt\n" + BUDGET_ONLY,
    "an extension": "def hold(view):\n    return view.is_running[view.is_running > 0] * 0\n",
}


@pytest.mark.parametrize("what", list(SOURCES))
def test_sealed_files_decide_as_trusted_ones(what: str, sandbox: Sandbox) -> None:
    """Whichever functions a file defines are asked, those it lacks are not, and the outcome is the same to the bit."""
    problem = Serving()
    instance = generate("code", 1)
    namespace: dict[str, Callable[[View], object]] = {}
    exec(SOURCES[what], namespace)
    functions = {name: namespace[name] for name in problem.entry.functions if name in namespace}
    evaluation = evaluate(problem, SOURCES[what], [instance], sandbox, Allowance())
    assert evaluation.verdict is Verdict.ok, evaluation.detail
    assert evaluation.costs[0] == problem.cost(instance, times(instance, Trusted(functions)))


@pytest.mark.parametrize(
    ("source", "verdict", "said"),
    [
        ("def priority(view):\n    return view.prompt\n", Verdict.bad_source, "no function 'rank_waiting'"),
        (
            "def rank_waiting(view):\n    return view.prompt[1:]\n",
            Verdict.invalid_decision,
            "rank_waiting: expected shape",
        ),
        ("def rank_waiting(view):\n    return view.prompt * float('nan')\n", Verdict.invalid_decision, "NaN"),
        ("def token_budget(view):\n    return 0\n", Verdict.invalid_decision, "token_budget: expected a number in 1"),
        ("def admit_limit(view):\n    return [1, 2]\n", Verdict.invalid_decision, "admit_limit: expected one number"),
        ("def rank_waiting(view):\n    return view.prompts\n", Verdict.exception, "'view' has no field 'prompts'"),
        ("def rank_waiting(view):\n    return view.outputs\n", Verdict.exception, "has no field"),
        ("def hold(view):\n    return [True] * 999\n", Verdict.invalid_decision, "hold: expected shape"),
    ],
)
def test_bad_answers_are_verdicts(source: str, verdict: Verdict, said: str, sandbox: Sandbox) -> None:
    """In search an answer that is none ends the evaluation, and the message says what is wrong with it."""
    evaluation = evaluate(Serving(), source, [generate("code", 1)], sandbox, Allowance())
    assert (evaluation.verdict, said in evaluation.detail) == (verdict, True), evaluation


def test_a_policy_that_keeps_work_from_being_finished_ends(sandbox: Sandbox) -> None:
    """A token at a time: the simulation gives up, or the limit of CPU time is used up, and the verdict says so."""
    evaluation = evaluate(
        Serving(), "def token_budget(view):\n    return 1\n", [generate("code", 1)], sandbox, Allowance()
    )
    assert evaluation.verdict in (Verdict.invalid_decision, Verdict.cpu_limit, Verdict.wall_timeout), evaluation


def test_registered_with_its_baselines() -> None:
    """Both problems load by name, and their baselines are the policy files."""
    for name in ("serving", "serving_slo"):
        problem = load_problem(name)
        names = {each.name for each in baselines(problem)}
        assert {*problem.seeds, problem.best_baseline} <= names
        assert names >= {"fcfs", "sarathi_512", "slai"}


def test_reports_come_with_the_baselines() -> None:
    """The figures are finite, and attainment is a share."""
    instance = generate("agents", 2)
    reports = Serving().reports(instance, times(instance, policy("lpm")))
    assert 0 <= reports["attainment"] <= 1
    assert np.isfinite(list(reports.values())).all()


def test_fresh_instances_are_others() -> None:
    """A seed gives the same fresh instances twice; none is one of a split or of another seed, all start at START."""
    fresh = Serving().fresh(0)
    digests = {each.digest for each in fresh}
    assert [each.digest for each in Serving().fresh(0)] == [each.digest for each in fresh]
    assert len(digests) == len(fresh) == FRESH * len(FAMILIES)
    assert not digests & {each.digest for name in SPLITS for each in Serving().split(name)}
    assert not digests & {each.digest for each in Serving().fresh(1)}
    assert {each["arrival"][0] for each in fresh} == {START}
    assert {each.classes for each in fresh} == {(family, level) for family in FAMILIES for level in FACTORS}
