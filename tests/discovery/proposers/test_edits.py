from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.proposers.completion import source_in, why_no_code
from discovery.proposers.edits import edited, has_edits

BASE = "import numpy as np\n\n\ndef priority(p, d, t):\n    slack = d - t\n    return slack + p\n"


def edit(old: str, new: str) -> str:
    """One edit as models are told to write it."""
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


def test_an_edit_replaces_the_lines_it_names() -> None:
    """Prose around it does not matter, nor does a fence."""
    text = "Idea: scale.\n```python\n" + edit("    slack = d - t", "    slack = 2 * (d - t)\n    slack -= p") + "```\n"
    assert edited(text, BASE) == BASE.replace("slack = d - t", "slack = 2 * (d - t)\n    slack -= p")


def test_edits_are_made_in_turn() -> None:
    """A later one may change what an earlier one wrote."""
    text = edit("    slack = d - t", "    x = 1") + edit("    x = 1", "    y = 2")
    assert edited(text, BASE) == BASE.replace("slack = d - t", "y = 2")


def test_lines_may_be_deleted() -> None:
    """Nothing below the middle line is nothing in their place."""
    text = "<<<<<<< SEARCH\n    slack = d - t\n=======\n>>>>>>> REPLACE"
    assert edited(text, BASE) == BASE.replace("    slack = d - t\n", "")


@pytest.mark.parametrize("old", ["slack = d - t", "  slack = d - t   ", "    slack = d - t  "])
def test_lost_spaces_are_forgiven(old: str) -> None:
    """Found without regard to indentation, what replaces it is indented as the file is."""
    new = old.replace("d - t", "d").rstrip()
    assert edited(edit(old, new), BASE) == BASE.replace("slack = d - t", "slack = d")


@pytest.mark.parametrize("old", ["    slack = t - d", "", "   "])
def test_what_fits_nowhere_is_no_code_and_says_why(old: str) -> None:
    """No guess is made: the answer holds no heuristic, for the reason that is shown."""
    text = edit(old, "x")
    assert edited(text, BASE) is None
    assert source_in(text, "priority", BASE) is None
    assert why_no_code(text) == "an edit's SEARCH lines are not in the file that was shown"


def test_edits_are_made_to_the_file_as_it_was_shown() -> None:
    """The module's docstring, which tells of another origin, is not shown and does not come back."""
    text = edit("    return slack + p", "    return slack")
    assert source_in(text, "priority", '"""Found long ago."""\n\n' + BASE) == BASE.replace("slack + p", "slack")


def test_a_whole_file_is_taken_in_any_case() -> None:
    """Who was asked for edits and answers with a file is understood, and who has nothing to edit too."""
    text = "```python\n" + BASE + "```"
    assert source_in(text, "priority", "other") == BASE
    assert source_in(text, "priority", None) == BASE
    assert not has_edits(text)


LINES = st.lists(st.sampled_from(["a = 1", "b = 2", "    c = 3", "return a", "d()"]), max_size=8)


@given(before=LINES.map(lambda lines: ["start", *lines, "end"]), after=LINES)
def test_the_edit_between_two_files_makes_one_of_the_other(before: list[str], after: list[str]) -> None:
    """An edit of everything from the first changed line to the last turns the one file into the other."""
    wanted = ["start", *after, "end"]
    blocks = [
        block for block in SequenceMatcher(None, before, wanted, autojunk=False).get_opcodes() if block[0] != "equal"
    ]
    if not blocks:
        return
    last = max(blocks[-1][2], 1)
    tail = len(before) - last
    old, new = before[:last], wanted[: len(wanted) - tail]
    if len(new) < 1:
        return
    text = edit("\n".join(old), "\n".join(new))
    assert edited(text, "\n".join(before) + "\n") == "\n".join([*new, *before[last:]]) + "\n"
