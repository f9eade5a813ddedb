import ast
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.normal_form import form_of
from evaluators.heuristic import baselines
from problems.registry import BUILT_IN, load_problem

RULE = '''
"""A rule."""
import numpy as np

SHARE = 1000.0


def helper(values, factor):
    return values * factor


def priority(p, d, t):
    """Score the jobs."""
    slack = d - t - p  # what is left
    ratio = helper(slack, SHARE)
    return np.where(slack > 0, ratio, p)
'''
STYLED = """
import numpy as num

FRACTION = 1e3
def weigh(numbers: object, share: float) -> object: return (numbers * share)
def priority(p, due: "array", now=None) -> "array":
    left = due - now - p


    r = weigh(left, FRACTION)
    return num.where(left > 0, r, p)
"""
KEPT = frozenset(("priority",))


def digest(source: str) -> str:
    """The digest of a file that has one."""
    form = form_of(source, KEPT)
    assert form is not None
    return form.digest


def renamed(source: str, seed: int) -> str:
    """The file with its variables renamed, by another program than the one tested."""
    tree = ast.parse(source)
    rng = random.Random(seed)
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    taken = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    taken |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword | ast.arg) and node.arg}
    taken |= {name for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    names = {name: f"{rng.choice('abcxyz')}_{number}" for number, name in enumerate(sorted(stored - taken))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return ast.unparse(tree)


def sources() -> list[str]:
    """Every baseline of every problem."""
    return [each.source for name in BUILT_IN for each in baselines(load_problem(name))]


def test_style_does_not_count() -> None:
    """Comments, layout, docstrings, annotations, names and the way a number is written make no difference."""
    plain = RULE.replace("now=None", "now")
    assert digest(plain) == digest(STYLED.replace("=None", ""))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("slack > 0", "slack >= 0"),
        ("1000.0", "1001.0"),
        ("1000.0", "1000"),
        ("d - t - p", "t - d - p"),
        ("np.where", "np.minimum"),
        ("helper(slack, SHARE)", "helper(SHARE, slack)"),
        ("return values * factor", "return values * SHARE"),
        ("def priority(p, d, t)", "def priority(d, p, t)"),
        ("def priority(", "def rank("),
        ("import numpy as np", "import math as np"),
    ],
)
def test_substance_counts(old: str, new: str) -> None:
    """An operator, a constant, its type, an order, a function, a parameter's place or the entry's name tell apart."""
    assert old in RULE
    assert digest(RULE) != digest(RULE.replace(old, new))


@pytest.mark.parametrize("source", sources())
def test_a_renamed_baseline_has_the_same_form(source: str) -> None:
    """Variables renamed and everything laid out anew, for every baseline there is."""
    assert digest(renamed(source, 1)) == digest(renamed(source, 2)) == digest(source)


def test_different_baselines_have_different_forms() -> None:
    """No two baselines of a problem are taken for each other."""
    for name in BUILT_IN:
        known = [each.source for each in baselines(load_problem(name))]
        assert len({digest(source) for source in known}) == len(known), name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # called by keyword, a parameter's name decides which argument it is
        ("def f(x, y): return x - y\nr = f(x=1, y=2)", "def f(y, x): return y - x\nr = f(x=1, y=2)"),
        # an attribute's name is what it is found by
        ("class A: x = 1; y = 2\nr = A.x", "class A: y = 1; x = 2\nr = A.x"),
        ("class A: x = 1; y = 2\nr = getattr(A, 'x')", "class A: y = 1; x = 2\nr = getattr(A, 'x')"),
        ("def f(): pass\nr = f.__name__", "def g(): pass\nr = g.__name__"),
        # who reads names may do anything with them
        ("def priority(p, d, t): return locals()['p']", "def priority(d, p, t): return locals()['p']"),
        ("x = 'f'; f = 1; r = eval('x')", "f = 'f'; x = 1; r = eval('x')"),
        # a name of one's own is not a built-in's
        ("def f():\n sum = 1\n return sum\nr = sum([1])", "def f():\n s = 1\n return s\nr = s([1])"),
        ("import math\nr = math.pi", "import cmath\nr = cmath.pi"),
        ("def f(**k): return k\nr = f(a=1)", "def f(**k): return k\nr = f(b=1)"),
        ("match r:\n case {'a': x, **y}: z = x", "match r:\n case {'a': x, **y}: z = y"),
        ("def f():\n global x\n x = 1\ny = 0", "def f():\n global y\n x = 1\ny = 0"),
        ("r = 'a'", "r = b'a'"),
        ("r = 1", "r = True"),
    ],
)
def test_names_that_mean_something_are_kept(one: str, other: str) -> None:
    """Files that differ in what names do are never taken for each other."""
    assert digest(one) != digest(other)


@given(st.text(max_size=200))
def test_any_text_has_a_form_or_none(text: str) -> None:
    """Whatever a model writes, nothing is raised, and equal texts have equal forms."""
    assert form_of(text) == form_of.__wrapped__(text)


def test_what_is_no_program_has_none() -> None:
    """Broken, null bytes, or nested without end."""
    for text in ("def f(:", "x\0", "(" * 5000 + ")" * 5000, "-" * 200_000 + "1"):
        assert form_of(text) is None


def test_what_is_far_too_long_is_not_looked_at() -> None:
    """Megabytes of code would keep the loop waiting for seconds, only to be refused by the sandbox anyway."""
    assert form_of("x = 1\n" * 100_000) is None


def test_size_counts_code_and_not_comments() -> None:
    """The size is that of the syntax tree."""
    plain, commented = form_of("x = 1 + 2"), form_of('"""Long."""\n# longer\nx = 1 + 2  # longest')
    assert plain and commented
    assert plain.size == commented.size > 3


def test_baselines_are_of_the_expected_sizes() -> None:
    """A dispatching rule takes tens of nodes, a whole algorithm hundreds."""
    folder = Path(__file__).parents[2] / "problems" / "smtt" / "baselines"
    rule = form_of((folder / "dispatch" / "edd.py").read_text())
    whole = form_of((folder / "schedule" / "mdd_insertion.py").read_text())
    assert rule and whole
    assert rule.size < 50 < 200 < whole.size
