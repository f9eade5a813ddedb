"""The three drivers answer as `problems.base.Ask` promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault, Verdict


def reference_dispatch(priority, vectors):
    """The loop of the dispatch driver, written as plainly as it can be."""
    left, time, order = list(range(len(vectors[0]))), 0.0, []
    while left:
        scores = list(priority(*(np.array([float(vector[job]) for job in left]) for vector in vectors), time))
        chosen = scores.index(min(scores))
        time += float(vectors[0][left[chosen]])
        order.append(left.pop(chosen))
    return order


def test_once_passes_copies_and_numbers(sandbox: Sandbox) -> None:
    """Vectors keep their kind, 0-d arrays arrive as int and float, and the answer comes back unchanged."""
    source = """
def types(p, w, n, x):
    assert type(n) is int and type(x) is float, (type(n), type(x))
    assert p.dtype == "int64" and w.dtype == "float64" and p.flags.writeable and p.flags.c_contiguous
    p[0] = 99
    return p * w * n + x
"""
    p = np.array([1, 2, 3])
    with sandbox.open(source) as session:
        arrays = [p, np.array([0.5, 1, 2], dtype=np.float32), np.array(2), np.array(0.25)]
        answer = session.ask("types", arrays)
    np.testing.assert_array_equal(answer, [99.25, 4.25, 12.25])
    assert answer.dtype == np.float64 and p[0] == 1


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[2, 0, 1]", np.array([2, 0, 1])),
        ("np.arange(3, dtype=np.uint8)", np.array([0, 1, 2])),
        ("[True, False]", np.array([1, 0])),
        ("np.arange(6.0).reshape(2, 3).T", np.arange(6.0).reshape(2, 3).T),
        ("np.float16(0.5)", np.array(0.5)),
        ("7", np.array(7)),
        ("()", np.array([], dtype=np.float64)),
        ("[np.nan, np.inf]", np.array([np.nan, np.inf])),
    ],
)
def test_answers_are_int64_or_float64(sandbox: Sandbox, expression: str, expected: np.ndarray) -> None:
    """Whatever real numbers a heuristic returns arrive as int64 or float64, with their shape."""
    with sandbox.open(f"import numpy as np\ndef f(): return {expression}") as session:
        answer = session.ask("f", [])
    assert answer.dtype == expected.dtype
    np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize(
    "expression",
    [
        "None",
        "'[0, 1, 2]'",
        "[1, [2, 3]]",
        "[1j]",
        "[10**30]",
        "[2**64 - 1]",
        "np.array([1, 'a'], dtype=object)",
        "np.array(['2020-01-01'], dtype='datetime64[D]')",
        "np.broadcast_to(0.0, (10**9, 10**6))",
        "np.zeros((1, 1, 1, 1))",
        "{'order': [0]}",
        "iter([1])",
    ],
)
def test_other_answers_are_invalid_decisions(sandbox: Sandbox, expression: str) -> None:
    """An answer that is not an array of real numbers is named for what it is, and is never read as an object."""
    source = f"import numpy as np\ndef f(): return {expression}"
    with pytest.raises(CandidateFault) as caught, sandbox.open(source) as session:
        session.ask("f", [])
    assert caught.value.verdict is Verdict.invalid_decision


def mdd(p, d, t):
    """Modified due date."""
    return np.maximum(d, t + p)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_dispatch_is_the_plain_loop(sandbox: Sandbox, jobs: list[tuple[int, int]]) -> None:
    """The fast dispatch loop gives the order of the plain one, ties to the first job included."""
    p, d = (np.array([job[i] for job in jobs], dtype=np.int64) for i in (0, 1))
    with sandbox.open("import numpy as np\ndef mdd(p, d, t): return np.maximum(d, t + p)") as session:
        order = session.ask("mdd", [p, d], dispatch=True)
    assert order.dtype == np.int64
    assert order.tolist() == reference_dispatch(mdd, [p, d])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return p[:-1]", "shape"),
        ("return 1.0", "shape"),
        ("return np.where(t > 2, np.nan, p)", "NaN"),
        ("return ['a'] * len(p)", "numbers"),
    ],
)
def test_dispatch_refuses_bad_scores(sandbox: Sandbox, body: str, words: str) -> None:
    """Scores of the wrong shape or kind, and NaN, are invalid decisions that say what is wrong."""
    source = f"import numpy as np\ndef f(p, t):\n    {body}"
    with pytest.raises(CandidateFault, match=words) as caught, sandbox.open(source) as session:
        session.ask("f", [np.array([3, 1, 2])], dispatch=True)
    assert caught.value.verdict is Verdict.invalid_decision


def test_dispatch_survives_mutation_and_infinite_scores(sandbox: Sandbox) -> None:
    """A heuristic that overwrites its arguments harms nobody, and infinite scores are scores."""
    source = "import numpy as np\ndef f(p, d, t):\n    s = d.copy(); p[:] = 0; d[:] = 0; s[0] = np.inf; return s"
    p, d = np.array([5, 5, 5]), np.array([1, 3, 2])
    with sandbox.open(source) as session:
        assert session.ask("f", [p, d], dispatch=True).tolist() == [2, 1, 0]
    assert p.tolist() == [5, 5, 5]


def test_dispatch_wants_vectors_of_one_length(sandbox: Sandbox) -> None:
    """A question that we put wrongly is our error, not the candidate's."""
    with sandbox.open("def f(p, d, t): return p") as session, pytest.raises(ValueError, match="one length"):
        session.ask("f", [np.zeros(2), np.zeros(3)], dispatch=True)


def test_interactive_keeps_state_within_a_session_only(sandbox: Sandbox) -> None:
    """Many questions go to one process; the next session starts from the file again."""
    source = "total = 0\ndef add(x):\n    global total\n    total += x\n    return total"
    for _ in range(2):
        with sandbox.open(source) as session:
            answers = [int(session.ask("add", [np.array(x)])) for x in range(100)]
        assert answers == np.arange(100).cumsum().tolist()


def test_large_arrays_cross(sandbox: Sandbox) -> None:
    """Questions and answers far beyond a pipe's buffer arrive whole."""
    values = np.arange(500_000, dtype=np.float64)
    with sandbox.open("def f(x): return x[::-1]") as session:
        np.testing.assert_array_equal(session.ask("f", [values]), values[::-1])


RECORDS = "requests:prompt,output;weight;state:now,free"
VALUES = [np.array([3.0, 4.0]), np.array([1, 2]), np.array([0.5, 2.0]), np.array(7), np.array(0.25)]


def test_records_have_their_values_as_attributes(sandbox: Sandbox) -> None:
    """Fields of records, and plain arguments between them, are what plain arguments are: copies and numbers."""
    source = """
def f(requests, weight, state):
    assert type(state.now) is int and type(state.free) is float
    assert requests.prompt.dtype == "float64" and requests.output.dtype == "int64"
    assert vars(state) == {"now": 7, "free": 0.25} and repr(state) == "state(now=7, free=0.25)", state
    requests.output[0] = 99
    requests.prompt += 1
    return requests.prompt * weight + requests.output + state.now * state.free
"""
    before = [value.copy() for value in VALUES]
    with sandbox.open(source) as session:
        for _ in range(3):  # what a heuristic does to a record is gone by the next question
            assert session.ask("f", VALUES, records=RECORDS).tolist() == [102.75, 13.75]
    assert all((old == new).all() for old, new in zip(before, VALUES, strict=True))


def test_an_unknown_field_is_named_with_the_known_ones(sandbox: Sandbox) -> None:
    """A misspelt field is an exception that tells the author what there is, and where."""
    source = "def f(requests, weight, state):\n    return requests.prompts"
    words = r"AttributeError: 'requests' has no field 'prompts' \(it has prompt, output\) \(line 2\)"
    with pytest.raises(CandidateFault, match=words) as caught, sandbox.open(source) as session:
        session.ask("f", VALUES, records=RECORDS)
    assert caught.value.verdict is Verdict.exception


def test_layouts_may_change_from_question_to_question(sandbox: Sandbox) -> None:
    """Each distinct layout is its own, with records and without."""
    source = "def f(a, b=None): return [*vars(a).values()] if b is None else [a, b]"
    with sandbox.open(source) as session:
        for x in range(3):
            values = [np.array(x), np.array(2)]
            assert session.ask("f", values, records="a:x,y").tolist() == [x, 2]
            assert session.ask("f", values[:1], records="b:z").tolist() == [x]
            assert session.ask("f", values).tolist() == [x, 2]


def test_fields_may_be_the_rows_of_one_value(sandbox: Sandbox) -> None:
    """`a|b` stands for two rows of a matrix, which are vectors, or two places of a vector, which are numbers."""
    source = """
def f(view, w):
    assert type(view.now) is float and view.p.shape == (3,), (type(view.now), view.p.shape)
    return view.p + 10 * view.q + 100 * view.now + 1000 * view.free + w
"""
    rows = np.array([[1.0, 2, 3], [4, 5, 6]])
    with sandbox.open(source) as session:
        answer = session.ask("f", [rows, np.array([1.0, 2]), np.array(0.5)], records="view:p|q,now|free;w")
    assert answer.tolist() == [2141.5, 2152.5, 2163.5]


def test_copies_of_records_work(sandbox: Sandbox) -> None:
    """A heuristic may copy a record, as it may copy an array."""
    source = "import copy\ndef f(r): return copy.copy(r).x + copy.deepcopy(r).x"
    with sandbox.open(source) as session:
        assert session.ask("f", [np.array([1, 2])], records="r:x").tolist() == [2, 4]


@pytest.mark.parametrize(("count", "dispatch"), [(4, False), (6, False), (5, True)])
def test_records_that_do_not_add_up_are_our_error(sandbox: Sandbox, count: int, dispatch: bool) -> None:
    """A wrong number of values, or records for the dispatch loop, are refused before they are sent."""
    values = [np.zeros(2)] * count
    with sandbox.open("def f(*x): return 0") as session, pytest.raises(ValueError, match="do not make"):
        session.ask("f", values, dispatch=dispatch, records=RECORDS)


def test_which_functions_are_defined(sandbox: Sandbox) -> None:
    """Only what can be called counts, names never seen are no fault, and the session goes on."""
    with sandbox.open("from math import sqrt\ng = 3\nh = lambda x: x\ndef f(x): return x + 1") as session:
        assert session.defined(["f", "g", "h", "sqrt", "missing"]) == {"f", "h", "sqrt"}
        assert session.defined(["missing"]) == frozenset()
        assert session.ask("f", [np.array([1])]).tolist() == [2]


def test_a_wrong_number_of_answers_about_functions_is_refused(sandbox: Sandbox) -> None:
    """A candidate that tampers with what says which functions there are ends with a protocol error, not with trust."""
    source = """
import sys
import numpy as np
wire = sys._getframe(1).f_globals["wire"]
wire.pack_array = lambda array, pack=wire.pack_array: pack(np.zeros(7))
"""
    with pytest.raises(CandidateFault) as caught, sandbox.open(source) as session:
        session.defined(["f", "g"])
    assert caught.value.verdict is Verdict.protocol_error


def test_annotations_need_no_imports(sandbox: Sandbox) -> None:
    """A function whose annotations name what is not imported works: nobody looks at them."""
    with sandbox.open("def f(x: Any) -> Array:\n    return x\n") as session:
        assert session.ask("f", [np.array([1.0])]).tolist() == [1.0]
