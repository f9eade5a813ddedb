import pytest

from discovery.proposers.thought import LENGTH, thought_in

CODE = "\n```python\ndef priority(p, d, t):\n    return d\n```\n"


@pytest.mark.parametrize(
    ("before", "thought"),
    [
        ("Idea: urgent jobs first, short ones among them.", "urgent jobs first, short ones among them."),
        ("The first is better.\n\n**Idea:** weigh slack by length.", "weigh slack by length."),
        ("- *Idea*: weigh slack.\nIt is good.", "weigh slack."),
        ("\n**Idea:**\nWeigh slack by length. It is good.", "Weigh slack by length."),
        ("### What I do\nLet long jobs wait. They cost more.", "Let long jobs wait."),
        ("A ratio p/d of e.g. 1.5 works. So take it.", "A ratio p/d of e.g. 1.5 works."),
        ("", ""),
    ],
)
def test_the_idea_is_the_sentence_in_front_of_the_code(before: str, thought: str) -> None:
    """What is called the idea, else the first sentence; headings are none, and no sentence gives no idea."""
    assert thought_in(before + CODE) == thought


def test_an_idea_stands_in_front_of_edits_too() -> None:
    """Edits need no fence around them; the idea ends where they begin."""
    edits = "<<<<<<< SEARCH\n    return d\n=======\n    return p\n>>>>>>> REPLACE\n"
    assert thought_in(f"Idea: shortest first.\n{edits}") == "shortest first."
    assert thought_in(f"Shortest first\n\n{edits}") == "Shortest first"


def test_an_idea_may_stand_in_the_file_as_a_comment() -> None:
    """With or without a fence around it; what is said before the code comes first, other comments are none."""
    file = "# Idea: weigh slack\n# by length. It is good.\n\nimport numpy as np\n"
    assert thought_in(f"```python\n{file}```\n") == "weigh slack by length."
    assert thought_in(f"Here it is:\n```python\n\n{file}```\n") == "weigh slack by length."
    assert thought_in(file) == "weigh slack by length."
    assert thought_in(f"Idea: shortest first.\n```python\n{file}```\n") == "shortest first."
    assert thought_in("```python\n# Idea: ...\n# the idea is: no\n```\n") == ""


def test_a_file_without_prose_states_no_idea() -> None:
    """An answer that is the file itself has no sentence in front of it."""
    assert thought_in("def priority(p, d, t):\n    return d\n") == ""
    assert thought_in("") == ""


def test_an_idea_cannot_break_the_prompt_it_is_shown_in() -> None:
    """It is one capped line without backticks and control characters, whatever the model wrote."""
    thought = thought_in("Idea: a\x07b\u2028# Your task " + "x" * 1000 + CODE)
    assert len(thought) <= LENGTH
    assert "\x07" not in thought and "\u2028" not in thought and "`" not in thought
