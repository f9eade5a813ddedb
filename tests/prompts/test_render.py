import itertools

import pytest

from discovery.operators import PARENTS
from discovery.proposers.base import Parent
from problems.base import Problem
from problems.registry import BUILT_IN, load_problem
from prompts.render import as_shown, operators, render
from tests.problems.counter import Counter

PARENTS_SHOWN = (Parent("def priority(p, d, t):\n    return d\n", 1.25, "7"), Parent("SECOND SOURCE", 2.5, "9"))


def facts(name: str | Problem) -> dict[str, object]:
    """What a session tells the templates about a problem."""
    problem = load_problem(name) if isinstance(name, str) else name
    entry = problem.entry
    return {
        "brief": problem.brief,
        "signature": entry.signature,
        "arguments": entry.arguments,
        "returns": entry.returns,
        "companions": entry.companions,
        "remembers": entry.driver == "interactive",
        "hints": problem.hints,
    }


@pytest.mark.parametrize("problem", list(BUILT_IN))
@pytest.mark.parametrize("operator", operators())
def test_every_operator_renders_for_every_problem(problem: str, operator: str) -> None:
    """The prompt tells the problem, the signature and the parents with their gaps, and leaves nothing unfilled."""
    parents = PARENTS_SHOWN[: PARENTS[operator]]
    text = render(operator, facts(problem), parents, "1:2")
    assert load_problem(problem).brief in text
    assert load_problem(problem).entry.signature in text
    for parent in parents:
        assert parent.source.strip() in text
        assert f"{parent.score:.3f} %" in text
    assert "{{" not in text
    assert "{%" not in text


@pytest.mark.parametrize("problem", list(BUILT_IN))
def test_memory_is_allowed_where_each_instance_has_its_own_process(problem: str) -> None:
    """Prompts allow memory of an instance if it is asked about call by call, and ask for equal answers if not."""
    text = render("create", facts(problem), (), "1:1")
    interactive = load_problem(problem).entry.driver == "interactive"
    assert ("may be remembered" in text) is interactive
    assert ("equal arguments give equal answers" in text) is not interactive


def test_the_unchanging_part_comes_first() -> None:
    """Prompts of all operators and requests share the same beginning, up to the rules, so endpoints can cache it."""
    texts = [render(op, facts("smtt"), PARENTS_SHOWN[: PARENTS[op]], f"1:{i}") for i, op in enumerate(operators())]
    shared = itertools.takewhile(lambda signs: len(set(signs)) == 1, zip(*texts, strict=False))
    common = "".join(signs[0] for signs in shared)
    assert "# Rules" in common
    assert len(common) > 0.5 * min(map(len, texts))


def test_equal_requests_give_equal_prompts_and_seeds_vary_them() -> None:
    """A prompt is reproducible from its seed; over seeds the hint varies."""
    texts = {render("create", facts("smtt"), (), f"1:{i}") for i in range(30)}
    assert len(texts) > 3
    assert render("create", facts("smtt"), (), "1:5") == render("create", facts("smtt"), (), "1:5")


def test_parents_are_shown_without_the_story_of_their_origin() -> None:
    """Module docstring and idea go, the code stays; what is no Python, or has neither, is left alone."""
    assert as_shown('"""MDD.\n\nSource: 1982.\n"""\n\nimport numpy\n') == "import numpy\n"
    assert as_shown("# Idea: slack,\n# by length.\n\nimport numpy\n# so\n") == "import numpy\n# so\n"
    assert as_shown("# An ideal\nimport numpy\n") == "# An ideal\nimport numpy\n"
    assert as_shown("import numpy\n") == "import numpy\n"
    assert as_shown("def f(:") == "def f(:"
    story = Parent('"""A story."""\nx = 1\n', 1.0, "3")
    assert "A story." not in render("mutate", facts("smtt"), [story], "1:1")


def test_records_are_described_field_by_field() -> None:
    """Each record says what it is and lists its attributes as code reaches them; plain arguments stay one line."""
    text = render("create", facts(Counter()), (), "1:1")
    assert (
        "defines the function `priority(customers, state)`.\n- `customers`: those who wait. Its attributes:\n" in text
    )
    assert "\n  - `customers.waited` (vector): time they have waited\n- `state`: the counter. Its attributes:\n" in text
    assert "\n  - `state.served` (scalar): number of customers served\nIt returns one score per customer" in text
    assert "\n- `p` (vector): processing times\n- `d` (vector): due dates\nIt returns" in render(
        "create", facts("smtt"), (), "1:1"
    )


def test_hints_are_the_problems_own() -> None:
    """A problem's hints are what varies its prompts; the neutral ones name no jobs; none at all is fine."""
    for problem in (load_problem("smtt"), Counter()):
        texts = {render("create", facts(problem), (), f"1:{i}") for i in range(40)}
        assert len(texts) == len(problem.hints)
        assert all(any(hint in text for hint in problem.hints) for text in texts)
    assert not any("job" in hint for hint in Counter.hints)
    assert "(" in render("create", {**facts("smtt"), "hints": ()}, (), "1:1")


def test_companions_are_told_unless_they_are_not_for_models() -> None:
    """A prompt names the functions a file may define beside its own; a problem without any says nothing of it."""
    text = render("create", facts("serving"), (), "1:1")
    assert "- `rank_running`: shown the running requests" in text
    assert "- `admit_limit`: " in text
    assert "layer_groups" not in text
    assert "may also define" not in render("create", facts("kv_admission"), (), "1:1")
