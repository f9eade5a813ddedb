from pathlib import Path

import pytest

from problems.registry import BUILT_IN, UnknownProblem, absolute_spec, load_problem


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_every_built_in_problem_loads_under_its_name(name: str) -> None:
    """The registry's names are the problems' own."""
    assert load_problem(name).name == name


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("smtt_dispach", "did you mean 'smtt_dispatch'"),
        ("zzz", "known: smtt_dispatch"),
        ("absent.py:Class", "there is no file"),
    ],
)
def test_an_unknown_problem_is_named_with_the_nearest_one(spec: str, said: str) -> None:
    """The message helps to the right name."""
    with pytest.raises(UnknownProblem, match=said):
        load_problem(spec)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Other: pass", "no class 'Mine'"),
        ("class Mine: pass", "must derive from problems.base.Problem"),
        ("from problems.base import Problem\nclass Mine(Problem): pass", "lacks bound, cost, split"),
        ("import no_such_module", "importing the file failed"),
        ("def f(:", "importing the file failed"),
        (
            "from problems.base import Problem\nclass Mine(Problem):\n"
            " def split(self, name): ...\n def cost(self, i, d): ...\n def bound(self, i): ...",
            "lacks the attribute name, entry, brief",
        ),
        (
            "from problems.base import Argument, Entry, Problem\nclass Mine(Problem):\n name = brief = 'mine'\n"
            " entry = Entry('f', (Argument('x', ''),), 'scores', 'interactive')\n"
            " def split(self, name): ...\n def cost(self, i, d): ...\n def bound(self, i): ...",
            "must define decide",
        ),
        (
            "from problems.base import Record\nRecord('state', '', ())",
            "record 'state' has no fields",
        ),
    ],
)
def test_what_is_wrong_with_a_users_problem_is_said(tmp_path: Path, source: str, said: str) -> None:
    """A file that cannot be a problem is refused with the reason."""
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(UnknownProblem, match=said):
        load_problem(f"{path}:Mine")


def test_a_users_file_means_the_same_from_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Relative specs are made absolute; names are left alone."""
    monkeypatch.chdir(tmp_path)
    assert absolute_spec("mine.py:Mine") == f"{tmp_path}/mine.py:Mine"
    assert absolute_spec("smtt") == "smtt"
