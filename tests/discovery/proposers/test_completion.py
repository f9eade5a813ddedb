import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from discovery.proposers.base import Charge
from discovery.proposers.completion import (
    INCREDIBLE,
    Completion,
    Unusable,
    code_in,
    credible,
    most_of,
    split,
    why_no_code,
)
from discovery.proposers.settings import Model

MODEL = Model(model="m", max_tokens=100, input_price=2.0, output_price=10.0)
MOST = Charge(400, MODEL.price(300, 100))

LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=30)
HARMLESS = LINE.filter(lambda line: not line.strip(" \t").startswith(("```", "~~~")))


def lines(each: st.SearchStrategy[str] = LINE) -> st.SearchStrategy[str]:
    """Any text, made of such lines; each of them ends."""
    return st.lists(each, max_size=6).map(lambda parts: "".join(f"{part}\n" for part in parts))


BEFORE = st.one_of(
    lines(),
    st.sampled_from(
        [
            "```json\n{}\n```\nthen\n",
            "```\nplain\n```\n",
            "~~~text\n```\n~~~\n",
            "````markdown\n```python\nx = 1\n```\n````\n",
            "```python\nbroken off\n",
            "`inline` and ``` and ```not a fence``` \n",
            "1. As follows:\n   ```text\n   a\n   ```\n",
            "<think>```python\ndef priority(): draft\n```</think>\n",
        ]
    ),
)
AFTER = st.one_of(lines(HARMLESS), st.sampled_from(["```\nusage\n```\n", "```python\ncut off", "```json\n{}\n```\n"]))
BODY = st.tuples(lines(HARMLESS), lines(HARMLESS)).map(lambda parts: f"{parts[0]}def priority(p, d, t):\n{parts[1]}")


@given(BEFORE, st.sampled_from(["python", "Python", "py", "python3", "python title=h.py", ""]), BODY, AFTER)
@example("```json\n{}\n```\n", "python", "def priority(p, d, t):\n    return '\x0c\u2028\x85'\n", "")
def test_a_fenced_file_comes_back_byte_for_byte(before: str, label: str, body: str, after: str) -> None:
    """Whatever surrounds it: prose, other blocks, blocks never ended, any line separator inside."""
    if not label and any(line.strip(" \t").startswith(("```", "~~~")) for line in before.split("\n")):
        label = "python"  # a bare fence may end what is open before it: nobody can tell
    assert code_in(f"{before}```{label}\n{body}```\n{after}", "priority") == body


@pytest.mark.parametrize(
    "text", ["".join(pair) for pair in (("```python\r\na = 1\r\n```", ""), ("x\r\n", "```\r\na = 1\r\n```\r\n"))]
)
def test_windows_line_ends_are_kept(text: str) -> None:
    """Fences may end in CRLF; the file keeps its own."""
    assert code_in(text, "priority") == "a = 1\r\n"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("no code", None),
        ("", None),
        ("```python\na = 1\n```\nthen\n```python\nb = 2\n```", "b = 2\n"),
        (
            "```python\ndef priority(p):\n    ...\n```\nused as\n```python\npriority(1)\n```",
            "def priority(p):\n    ...\n",
        ),
        ("```json\n{}\n```", None),
        ("```python\nunfinished", None),
        ("```python\n```", ""),
        ("1. so:\n   ```python\n   def priority(p):\n       return p\n   ```\n", "def priority(p):\n    return p\n"),
        ("~~~python\na = 1\n~~~", "a = 1\n"),
        ('````python\nx = """\n```\n"""\n````', 'x = """\n```\n"""\n'),
        ("def priority(p):\n    return p\n", "def priority(p):\n    return p\n"),
        ("def other(p):\n    return p\n", None),
        ("the rule `def priority(p)`:\n", None),
        ("Idea: slack. ```python\na = 1\n```\n", "a = 1\n"),
        ("A block that begins with ```python\n```python\na = 1\n```\n", "a = 1\n"),
    ],
)
def test_which_block_is_taken(text: str, source: str | None) -> None:
    """The last that defines the function, else the last; a bare file counts; an unfinished or other block does not."""
    assert code_in(text, "priority") == source


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n", "is empty"),
        ("```python\ndef f(", "breaks off within its code block"),
        ("see ``` here", "held no Python code block"),
        ("```json\n{}\n```\nand ```", "held no Python code block"),
        ("nothing", "held no Python code block"),
    ],
)
def test_what_is_wrong_without_code_is_said(text: str, why: str) -> None:
    """An empty answer, one cut off by its limit, and one of words only are told apart."""
    assert why in why_no_code(text)


@pytest.mark.parametrize(
    "text", ["```python\n" * 200_000, "```" + " " * 200_000 + "`", "`" * 1_000_000, " " * 1_000_000]
)
def test_long_answers_are_read_in_linear_time(text: str) -> None:
    """A megabyte made to be slow to read is read at once (a quadratic reader would take minutes)."""
    assert code_in(text, "priority") is None
    assert why_no_code(text)


def record(text: Any = "hello", usage: Any = None, **message: Any) -> dict[str, Any]:
    """A decoded chat completion."""
    return {"choices": [{"message": {"role": "assistant", "content": text, **message}}], "usage": usage}


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "many",
        {"prompt_tokens": 5},
        {"prompt_tokens": "5", "completion_tokens": 6},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": -5, "completion_tokens": 6},
        {"prompt_tokens": 5, "completion_tokens": -6},
        {"prompt_tokens": 5.5, "completion_tokens": 6},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": 5, "completion_tokens": 0},
        {"prompt_tokens": INCREDIBLE * 400, "completion_tokens": 1},
        {"prompt_tokens": 10**400, "completion_tokens": 1},
    ],
)
def test_usage_that_cannot_be_true_counts_as_the_most(usage: object) -> None:
    """Missing, negative, absurd or self-contradicting figures: what was reserved is owed, to the token."""
    answer = Completion.of(record(usage=usage)).answer(MODEL, "priority", MOST, call=None, seconds=0.0)
    assert (answer.charge.tokens, answer.cost) == (400, pytest.approx(MOST.cost))


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_usage_that_can_be_true_is_taken(tokens_in: int, tokens_out: int) -> None:
    """Figures up to ten times what was reserved are a bill, and are charged at the model's prices."""
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    answer = Completion.of(record(usage=usage)).answer(MODEL, "priority", MOST, call=None, seconds=0.0)
    assert (answer.input_tokens, answer.output_tokens) == (tokens_in, tokens_out)
    assert answer.cost == pytest.approx((2 * tokens_in + 10 * tokens_out) / 1e6)


def test_an_answer_of_nothing_may_use_no_token_out() -> None:
    """Zero tokens out contradict a text, not an empty answer."""
    usage = {"prompt_tokens": 5, "completion_tokens": 0}
    answer = Completion.of(record("", usage)).answer(MODEL, "priority", MOST, call=None, seconds=0.0)
    assert (answer.text, answer.source, answer.charge.tokens) == ("", None, 5)


@given(st.text(), st.text())
def test_what_a_call_may_use_is_no_less_than_its_bytes(prompt: str, rest: str) -> None:
    """A token is a byte at least, so the prompt's bytes and the answer's limit bound the call from above."""
    most = most_of(MODEL, prompt + rest)
    assert most.tokens >= len((prompt + rest).encode()) + MODEL.max_tokens
    assert most.cost == pytest.approx(MODEL.price(*split(most, MODEL)))
    assert credible((most.tokens, 0), most) == (most.tokens, 0)


def test_the_split_of_a_charge_from_before_the_limit_was_raised_is_no_negative_count() -> None:
    """A call reserved with a small max_tokens and read with a large one keeps its total."""
    raised = MODEL.model_copy(update={"max_tokens": 1000})
    assert split(Charge(400, 0.1), raised) == (0, 400)


@given(st.text(st.characters(exclude_categories=())))
@example("\ud800x")
def test_any_text_can_be_stored(text: str) -> None:
    """Whatever a JSON string can hold, halves of surrogate pairs included, becomes text that encodes."""
    found = Completion.parse(json.dumps(record(text))).text
    found.encode()
    if not any(0xD800 <= ord(sign) < 0xE000 for sign in text):
        assert found == text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<html>\n <b>proxy</b>", "no JSON, it begins with '<html> <b>proxy</b>'"),
        (b"", "no JSON"),
        (b'{"choices": [{"mess', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"choices":' + "[" * 100_000 + "]" * 100_000 + "}", "no JSON"),
        ("1" * 10_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"null", "no chat completion"),
        (b"[]", "no chat completion"),
        (b"{}", "no chat completion"),
        (b'{"choices": null}', "no chat completion"),
        (b'{"choices": []}', "no chat completion"),
        (b'{"choices": [{"text": "old"}]}', "no chat completion"),
        (b'{"choices": [{"message": "hi"}]}', "no chat completion"),
    ],
)
def test_what_is_no_completion_is_said(data: bytes | str, said: str) -> None:
    """Web pages, cut-off and endless JSON, and JSON of another form are one short sentence."""
    with pytest.raises(Unusable) as caught:
        Completion.parse(data)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 120


def test_an_unusable_reply_with_figures_is_charged_by_them() -> None:
    """What says what it used is believed, even if it brings no answer."""
    with pytest.raises(Unusable) as caught:
        Completion.of({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    assert caught.value.usage == (7, 3)


@pytest.mark.parametrize("message", [{"content": None}, {"content": None, "refusal": "no"}, {"reasoning": "hm"}])
def test_all_thought_and_no_answer_is_an_empty_answer(message: dict[str, Any]) -> None:
    """A refusal, or a limit spent on thinking, is paid for and recorded, not asked again."""
    assert Completion.of({"choices": [{"message": message}]}).text == ""


def test_prices_are_per_million() -> None:
    """A million tokens in cost the input price, a million out the output price."""
    assert math.isclose(MODEL.price(1_000_000, 0), 2.0)
    assert math.isclose(MODEL.price(0, 1_000_000), 10.0)
