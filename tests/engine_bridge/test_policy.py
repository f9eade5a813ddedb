"""The protocol: views show what they say, answers are checked, engines refuse what they cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine_bridge.policy import (
    CORE,
    ENGINES,
    EXTENSIONS,
    FCFS,
    SCALAR_NAMES,
    VECTOR_NAMES,
    InvalidAnswer,
    Trusted,
    UnsupportedFunction,
    View,
    check_answer,
    load_policy,
    make_view,
    require_engine,
)


def view(n: int = 3, **numbers: float) -> View:
    """A view of n requests, the first two of which run."""
    fields: dict[str, object] = {name: np.arange(n) + place for place, name in enumerate(VECTOR_NAMES)}
    fields |= dict.fromkeys(SCALAR_NAMES, 1.0) | {"max_tokens": 64, "max_running": 8, "running": 2}
    return make_view(**(fields | numbers))


def test_fields_are_read_as_attributes() -> None:
    """Vectors are read-only rows, numbers are floats, and a typo is answered with what there is."""
    shown = view()
    assert shown.prompt.tolist() == [2.0, 3.0, 4.0]
    assert shown.max_tokens == 64.0
    assert len(shown) == 3
    with pytest.raises(ValueError, match="read-only"):
        shown.prompt[0] = 1
    with pytest.raises(AttributeError, match=r"no field 'prompts' \(it has id, arrival"):
        shown.prompts  # noqa: B018
    with pytest.raises(ValueError, match=r"missing or unknown: \['nonsense'"):
        view(nonsense=1)


@pytest.mark.parametrize(
    ("function", "answer", "checked"),
    [
        ("rank_waiting", [3, 1, 2], [3, 1, 2]),
        ("rank_running", [np.inf, -np.inf, 0], [np.inf, -np.inf, 0]),
        ("token_budget", 64, 64),
        ("token_budget", [1.9], 1),
        ("admit_limit", -5, 2),
        ("admit_limit", np.inf, 8),
        ("hold", [True, False], [True, False]),
        ("chunk", [0, 5.5, 1e30], [0, 5, 64]),
        ("layer_groups", 4, 4),
    ],
)
def test_answers_in_their_final_form(function: str, answer: object, checked: object) -> None:
    """Good answers pass; fractions are rounded down, limits clipped to what they mean."""
    assert check_answer(function, np.asarray(answer), view()).tolist() == checked


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        ("rank_waiting", [1.0, 2.0]),
        ("rank_waiting", [1.0, np.nan, 2.0]),
        ("rank_waiting", ["a", "b", "c"]),
        ("rank_waiting", [[1, 2, 3]]),
        ("token_budget", 0),
        ("token_budget", 65),
        ("token_budget", np.nan),
        ("token_budget", [1, 2]),
        ("admit_limit", np.nan),
        ("hold", [1, 0, 0]),
        ("hold", [2, 0]),
        ("chunk", [-1, 0, 0]),
        ("chunk", [np.nan, 0, 0]),
        ("layer_groups", 0),
    ],
)
def test_what_is_no_answer_is_refused(function: str, answer: object) -> None:
    """NaN, wrong shapes, text and numbers out of range; the message names the function."""
    with pytest.raises(InvalidAnswer, match=function):
        check_answer(function, np.asarray(answer), view())


def test_engines_refuse_what_they_cannot_do() -> None:
    """vLLM has no `hold`, and says who has; the core runs everywhere but in SGLang; nobody does `swap` yet."""
    holder = Trusted({"hold": lambda shown: np.zeros(int(shown.running))})
    require_engine(holder, "sim")
    with pytest.raises(UnsupportedFunction, match="'vllm' cannot carry out 'hold'; engines that can: sim, torch"):
        require_engine(holder, "vllm")
    with pytest.raises(UnsupportedFunction, match="no engine of ours"):
        require_engine(Trusted({"swap": lambda shown: 0}), "sim")
    for engine in ENGINES:
        require_engine(FCFS, engine)
    with pytest.raises(UnsupportedFunction, match="no engine asks for 'rank'"):
        Trusted({"rank": lambda shown: 0})


def test_a_file_is_loaded_with_its_functions(tmp_path: Path) -> None:
    """Only functions of the protocol count; a file without one is refused."""
    path = tmp_path / "p.py"
    path.write_text("def rank_waiting(view):\n    return -view.prompt\n\ndef helper(): pass\n")
    policy = load_policy(path)
    assert policy.functions == {"rank_waiting"}
    assert policy.ask("rank_waiting", view()).tolist() == [-2.0, -3.0, -4.0]
    path.write_text("x = 1\n")
    with pytest.raises(UnsupportedFunction, match="defines no function of a policy"):
        load_policy(path)


def test_every_function_is_in_one_list() -> None:
    """Core and extensions do not overlap, and engines ask for nothing else."""
    assert not set(CORE) & set(EXTENSIONS)
    assert frozenset().union(*ENGINES.values()) <= {*CORE, *EXTENSIONS}
