import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.answers import Report, as_markdown, take
from discovery.archive import CREATED, Archive
from discovery.candidate import Draft
from discovery.errors import UsageError
from discovery.proposers.base import Charge, Request
from discovery.proposers.settings import Model
from tests.discovery.runs import error_line
from tests.endpoint import completion

MODEL = Model(model="m", input_price=1024.0, output_price=2048.0)
MOST = Charge(500, 5.0)
CODE = "import numpy as np\n\n\ndef priority(p):\n    return p\n"
FENCED = f"An idea.\n```python\n{CODE}```"
PROMPTS = (
    "Write a better one.\n\n# Your task\nTake care.",
    "# Request 1 · abcdef\n\nlook-alike\n\n# Answer 1 · abcdef\n\nof old\n# Answer 0 · 123456\n",
    "Third.\n```python\ndef priority(p):\n    return 1\n```",
    "Fourth.",
)


def make(folder: Path, prompts: tuple[str, ...] = PROMPTS) -> Archive:
    """A run with open requests, each with an open call under the key `k0`, `k1` …"""
    archive = Archive(folder, "create")
    archive.event(CREATED)
    for number, prompt in enumerate(prompts):
        archive.add_request(Draft(number, 0, "create", ()), Request(number, 1, "create", (), prompt))
        archive.add_call(number, "m", f"k{number}", MOST)
    return archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Such a run, in the folder `r`."""
    with make(tmp_path / "r") as archive:
        yield archive


def bring(archive: Archive, text: str) -> Report:
    """Take a file's text."""
    return take(archive, text, [MODEL], "priority", by="me")


def good(key: str, text: str = FENCED, usage: tuple[int, int] = (100, 20)) -> str:
    """A line with an answer."""
    response = {"status_code": 200, "body": completion(text, *usage).body}
    return json.dumps({"custom_id": key, "response": response, "error": None}) + "\n"


def failed(key: str, status: int = 400, message: Any = "no") -> str:
    """A line with an HTTP error."""
    response = {"status_code": status, "body": {"error": {"message": message}}}
    return json.dumps({"custom_id": key, "response": response, "error": None}) + "\n"


def settled(archive: Archive) -> list[tuple[str, str, int, float]]:
    """Key, outcome, tokens and cost of the calls that have ended."""
    rows = archive.query(
        "SELECT key, outcome, settled.tokens, settled.cost FROM settled JOIN call ON call.id = settled.call ORDER BY id"
    )
    return [tuple(row.values()) for row in rows]  # type: ignore[misc]


def filled(text: str, answers: dict[int, str]) -> str:
    """The Markdown of `ask` with answers below their headings; found from the end, as prompts may hold look-alikes."""
    lines = []
    for line in text.split("\n"):
        lines.append(line)
        for number, answer in answers.items():
            if line.startswith(f"# Answer {number} · ") and not line.endswith(("abcdef", "123456")):
                lines.append(answer)
    return "\n".join(lines)


# ---- Markdown


def test_filled_in_markdown_comes_back(archive: Archive) -> None:
    """Answers go to their requests, whatever the prompts look like; what is left empty stays open."""
    text = filled(as_markdown("r", archive, archive.open_requests()), {0: FENCED, 1: f"{FENCED}\n", 3: "   "})
    report = bring(archive, text)
    assert (report.taken, report.known, report.failed) == ([0, 1], [], {})
    for number in (0, 1):
        answer = archive.answer(number)
        assert answer is not None
        assert (answer.text, answer.source, answer.model, answer.charge) == (FENCED, CODE, "me", Charge())
    assert [request.number for request in archive.open_requests()] == [2, 3]
    assert settled(archive) == [("k0", "answered", 0, 0.0), ("k1", "answered", 0, 0.0)]


def test_answering_twice_changes_nothing(archive: Archive) -> None:
    """The first answer stays; the second is said to have been there already."""
    blank = as_markdown("r", archive, archive.open_requests())
    bring(archive, filled(blank, {0: FENCED}))
    report = bring(archive, filled(blank, {0: "another", 2: FENCED}))
    assert (report.taken, report.known) == ([2], [0])
    assert archive.answer(0).text == FENCED  # type: ignore[union-attr]
    assert str(report) == "answers taken: 1, there already: 1"


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"), str.strip])
def test_what_editors_do_to_a_file_does_no_harm(archive: Archive, change: Any) -> None:
    """A byte-order mark, Windows line ends, a missing last line end."""
    text = change(filled(as_markdown("r", archive, archive.open_requests()), {0: FENCED, 3: FENCED}))
    assert bring(archive, text).taken == [0, 3]
    assert archive.answer(3).source.splitlines() == CODE.splitlines()  # type: ignore[union-attr]


def test_an_answer_may_hold_headings_and_several_blocks(archive: Archive) -> None:
    """Only headings with a request's own token end an answer; of several blocks the one that defines it is taken."""
    text = f"# Request 9\n# Answer 2 · 000000\n{FENCED}\n# Request 2 · ffffff\n```python\nprint(1)\n```\n## end"
    bring(archive, filled(as_markdown("r", archive, archive.open_requests()), {0: text, 2: "plain"}))
    answer = archive.answer(0)
    assert answer is not None
    assert (answer.text, answer.source) == (text, CODE)
    assert archive.answer(2).source is None  # type: ignore[union-attr]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, 3), st.text(st.characters(exclude_categories=("Cs",)), min_size=1)))
def test_any_text_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, answers: dict[int, str]
) -> None:
    """Whatever an answer holds, it is kept whole but for the space around it."""
    with make(tmp_path_factory.mktemp("a") / "r") as archive:
        bring(archive, filled(as_markdown("r", archive, archive.open_requests()), answers))
        for number in range(4):
            found = archive.answer(number)
            wanted = answers.get(number, "").strip()
            assert (found.text if found else "") == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no line '# Answer …'"),
        ("some text\n# Answers\n", "holds no line '# Answer …'"),
        ("# Request 0 · abcdef\n", "holds no line '# Answer …'"),
        ("# Answer 0 · abcdef\nmine\n", "belongs to another run, or its headings were changed"),
        ("# Answer 77 · abcdef\nmine\n", "belongs to another run"),
        ("# Answer 99999999999999999999 · abcdef\nmine\n", "holds no line '# Answer …'"),
        ("{\n", "line 1 of the results is no line of a Batch API results file"),
        ('{"custom_id": "k0"\n', "line 1"),
        (good("k0") + "garbage\n", "line 2"),
        (good("k0") + "[1]\n", "line 2"),
        (good("k0") + "\n" + "3\n", "line 3"),
        (good("k0") + '{"id": "x"}\n', "line 2"),
        (good("k0") + '{"a":' * 100_000 + "\n", "line 2"),
        (good("k0") + good("other-0-0"), "line 2 of the results answers 'other-0-0', which is no request of run 'r'"),
        (good("\ud800"), "line 1 of the results answers '?'"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_whole(archive: Archive, text: str, said: str) -> None:
    """Garbage, and answers to another run: one sentence, and nothing of the file is recorded."""
    with pytest.raises(UsageError) as caught:
        bring(archive, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(archive.open_requests()) == 4
    assert settled(archive) == []


def test_a_file_of_another_run_is_refused(archive: Archive, tmp_path: Path) -> None:
    """Same prompts, same numbers, another run: its tokens do not fit."""
    with make(tmp_path / "other") as other:
        text = filled(as_markdown("other", other, other.open_requests()), {0: FENCED})
    with pytest.raises(UsageError, match="belongs to another run"):
        bring(archive, text)


# ---- batch results


def test_results_in_any_order_are_charged_to_the_token(archive: Archive) -> None:
    """Partial, out of order, with a byte-order mark, CRLF and empty lines."""
    text = ("\ufeff" + good("k3", usage=(200, 10)) + "\n" + good("k1")).replace("\n", "\r\n")
    assert bring(archive, text).taken == [3, 1]
    answer = archive.answer(3)
    assert answer is not None
    assert (answer.source, answer.model, answer.input_tokens, answer.output_tokens) == (CODE, "m", 200, 10)
    assert settled(archive) == [
        ("k1", "answered", 120, (100 * 1024 + 20 * 2048) / 1e6),
        ("k3", "answered", 210, (200 * 1024 + 10 * 2048) / 1e6),
    ]


def test_the_same_line_twice_counts_once(archive: Archive) -> None:
    """Of two lines for one request the first is taken, in one file and in the next."""
    text = good("k0") + good("k0", "another", (7, 7))
    assert bring(archive, text).taken == [0]
    report = bring(archive, text)
    assert (report.taken, report.known) == ([], [0])
    assert settled(archive) == [("k0", "answered", 120, pytest.approx(0.14336))]


def test_line_separators_inside_json_do_not_end_a_line(archive: Archive) -> None:
    """JSON may hold U+2028 and U+0085 unescaped, and some endpoints write them so."""
    line = json.dumps(json.loads(good("k0", f"a\u2028b\u0085c\n{FENCED}")), ensure_ascii=False) + "\n"
    assert bring(archive, line).taken == [0]


@pytest.mark.parametrize(
    ("line", "outcome", "charge", "said"),
    [
        (failed("k0", 429, "slow down"), "rejected", 0, "HTTP 429: slow down"),
        (failed("k0", 500, None), "rejected", 0, "HTTP 500"),
        (failed("k0", 400, "\ud800 half"), "rejected", 0, "HTTP 400"),
        (error_line("k0", "expired"), "rejected", 0, "expired"),
        ('{"custom_id": "k0"}\n', "rejected", 0, "no response"),
        ('{"custom_id": "k0", "response": 3}\n', "rejected", 0, "no response"),
        ('{"custom_id": "k0", "response": {"status_code": 200, "body": {}}}\n', "unusable", 500, "no chat completion"),
        (
            '{"custom_id": "k0", "response": {"status_code": 200, "body":'
            ' {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}}}\n',
            "unusable",
            8,
            "no chat completion",
        ),
    ],
)
def test_a_failed_request_stays_open_and_its_call_is_settled(
    archive: Archive, line: str, outcome: str, charge: int, said: str
) -> None:
    """An error costs nothing, a reply without an answer what it says or else the most; it is noted once."""
    report = bring(archive, line)
    assert (report.taken, list(report.failed)) == ([], [0])
    assert said in report.failed[0]
    assert "failed, stay open: 1 (request 0: " in str(report)
    assert [row[:3] for row in settled(archive)] == [("k0", outcome, charge)]
    assert archive.open_requests()[0].number == 0
    archive.add_call(0, "m", "k0b", MOST)  # it is asked again, and the old file is read again
    again = bring(archive, line)
    assert (again.taken, again.failed) == ([], {})
    assert len(settled(archive)) == 1


def test_an_answer_counts_before_an_error(archive: Archive) -> None:
    """A file to which a second attempt was appended, in whatever order: the answer is taken."""
    for number, lines in enumerate([failed("k0") + good("k0"), good("k1") + failed("k1")]):
        assert bring(archive, lines).taken == [number]
    empty = '{"custom_id": "k2", "response": {"status_code": 200, "body": {}}}\n'
    report = bring(archive, empty + good("k2"))
    assert (report.taken, report.failed) == ([2], {})
    assert [row[:2] for row in settled(archive)][:2] == [("k0", "answered"), ("k1", "answered")]


def test_an_answer_after_all_settles_the_question_asked_again(archive: Archive) -> None:
    """The endpoint failed, the request is asked again under a new key; the answer to the old key is paid and taken."""
    bring(archive, failed("k0"))
    archive.add_call(0, "m", "k0b", MOST)
    assert bring(archive, good("k0")).taken == [0]
    assert [row[:3] for row in settled(archive)] == [("k0", "rejected", 0), ("k0b", "answered", 120)]
    assert archive.open_call(0) is None


def test_an_answer_after_all_is_charged_even_if_nothing_was_asked_since(archive: Archive) -> None:
    """What an endpoint billed is in the books, also where its call was taken for failed."""
    bring(archive, failed("k0"))
    assert bring(archive, good("k0")).taken == [0]
    assert [row[:3] for row in settled(archive)] == [("k0", "rejected", 0), ("k0", "answered", 120)]
    records = [(record.key, record.outcome, record.charge.tokens) for record in archive.calls() if record.outcome]
    assert records == [("k0", "rejected", 0), ("k0", "answered", 120)]


def test_usage_that_cannot_be_true_is_charged_as_reserved(archive: Archive) -> None:
    """A results line without figures costs what was reserved."""
    bring(archive, good("k0", usage=(0, 0)))
    assert [row[:3] for row in settled(archive)] == [("k0", "answered", 500)]
