"""Policies in service: whatever they do, a question ends as an answer or as `NoAnswer`, and the next one is put."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from engine_bridge.policy import SCALAR_NAMES, View, check_answer
from engine_bridge.vllm.guard import NoAnswer
from engine_bridge.vllm.settings import Settings
from evaluators.served_policy import ServedSealedPolicy
from evaluators.verdict import CandidateFault

RANK = "def rank_waiting(view):\n    return {}\n"
FAILING = """
def rank_waiting(view):
    if view.prompt[0] == 7:
        {}
    return view.prompt
"""


@contextmanager
def served(source: str, **settings: float) -> Iterator[ServedSealedPolicy]:
    """A policy in service; an answer may take two seconds, since this machine may be busy."""
    policy = ServedSealedPolicy(source, Settings(**{"answer_ms": 2000.0, **settings}))  # type: ignore[arg-type]
    try:
        yield policy
    finally:
        policy.close()


def view_of(policy: ServedSealedPolicy, *values: float) -> View:
    """A view of requests of whom every field that is read is `values`; the scalars are 0, 1, 2 and so on."""
    return View(np.tile(np.array(values), (len(policy.fields), 1)), np.arange(float(len(SCALAR_NAMES))))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("view.arrival", [3.0, 1.0, 2.0]),  # one field
        ("view.arrival + view.prompt", [6.0, 2.0, 4.0]),
        ("view.arrival + view.now", [3.0, 1.0, 2.0]),  # one number
        ("view.arrival + view.now + view.running", [11.0, 9.0, 10.0]),
        ("[view.waiting] * int(view.max_running)", [7.0] * 6),  # no field
    ],
)
def test_a_policy_is_shown_what_it_reads(expression: str, expected: list[float]) -> None:
    """One field or number alone, or none, reads as among several."""
    with served(RANK.format(expression)) as policy:
        answer = policy.ask("rank_waiting", view_of(policy, 3.0, 1.0, 2.0))
    assert answer.tolist() == expected


def test_functions_are_those_there_once_the_file_has_run() -> None:
    """Not those that the source looks as if it defined."""
    source = "if 2 < 1:\n    def token_budget(view):\n        return 1\nrank_waiting = lambda view: view.prompt\n"
    with served(source) as policy:
        assert policy.functions == {"rank_waiting"}
    with pytest.raises(CandidateFault, match="defines no function of a policy"), served("if 2 < 1:\n    " + "x = 1"):
        pass


def test_a_question_put_ahead_is_answered_later() -> None:
    """`post` and `collect` give what `ask` gives."""
    with served(RANK.format("-view.prompt")) as policy:
        view = view_of(policy, 3.0, 1.0)
        policy.post("rank_waiting", view)
        assert check_answer("rank_waiting", policy.collect("rank_waiting"), view).tolist() == [-3.0, -1.0]


def test_the_same_question_is_not_put_twice_in_a_row() -> None:
    """A policy that counts its questions is found out: what it is shown decides, and nothing else."""
    with served(
        "asked = []\ndef rank_waiting(view):\n    asked.append(0)\n    return view.prompt + len(asked)\n"
    ) as policy:
        answers = [policy.ask("rank_waiting", view_of(policy, prompt, 1.0))[0] for prompt in (3.0, 3.0, 4.0, 3.0)]
    warm_up = answers[0] - 4.0
    assert (np.array(answers) - warm_up).tolist() == [4.0, 4.0, 6.0, 6.0]


@pytest.mark.parametrize(
    ("fault", "reason", "restarts"),
    [
        ("raise ValueError('no')", "exception", 0),
        ("return 'text'", "invalid_decision", 0),
        ("import os; os._exit(1)", "protocol_error", 1),
        ("import os; os.kill(1, 9)", "policy_violation", 1),
    ],
)
@pytest.mark.parametrize("ahead", [False, True])
def test_a_fault_costs_one_answer(fault: str, reason: str, restarts: int, *, ahead: bool) -> None:
    """The next question is answered, by a fresh process where the fault ended the old one."""
    with served(FAILING.format(fault)) as policy:
        with pytest.raises(NoAnswer) as failed:
            if ahead:
                policy.post("rank_waiting", view_of(policy, 7.0, 1.0))
                policy.collect("rank_waiting")
            else:
                policy.ask("rank_waiting", view_of(policy, 7.0, 1.0))
        assert failed.value.reason == reason
        assert policy.ask("rank_waiting", view_of(policy, 5.0, 1.0)).tolist() == [5.0, 1.0]
        assert policy.restarts == restarts


def test_a_policy_that_hangs_is_asked_so_often_and_no_more() -> None:
    """Each time the answer's limit passes; then it is not active, and says so at once."""
    with served(FAILING.format("while True: pass"), answer_ms=100.0, restarts=1) as policy:
        for _ in range(2):
            with pytest.raises(NoAnswer, match=r"no answer within 0\.1 s"):
                policy.ask("rank_waiting", view_of(policy, 7.0, 1.0))
        assert not policy.active
        with pytest.raises(NoAnswer, match=r"its process ended 1 times in 10 minutes"):
            policy.ask("rank_waiting", view_of(policy, 2.0, 1.0))
