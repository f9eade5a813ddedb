"""Answers that come by file: results of a batch, or Markdown that a person or another model has filled in."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from discovery.archive import Archive, OpenRequest, storable
from discovery.errors import UsageError
from discovery.folders import source_of
from discovery.proposers.base import Answer, Charge
from discovery.proposers.completion import Completion, Unusable, credible, source_in
from discovery.proposers.edits import has_edits
from discovery.proposers.settings import Model

MARK = re.compile(r"^# (Request|Answer) (-?\d{1,9}) · ([0-9a-f]{6})[ \t]*\r?$", re.MULTILINE)
INTRODUCTION = """\
<!-- {count} open requests of run {run}. Write each answer below its line "# Answer …"; leave those lines as they are.
     What you leave empty stays open. Then: discover answer {run} FILE -->
"""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer of a file, or the `error` in its place.

    `body`: a decoded chat completion, or plain text. `key`: that of the call it answers, in a file of batch results.
    """

    number: int
    body: Any = None
    error: str = ""
    key: str = ""


@dataclass(slots=True)
class Report:
    """What became of the answers of a file, by number of the candidate."""

    taken: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"answers taken: {len(self.taken)}"]
        if self.known:
            parts.append(f"there already: {len(self.known)}")
        if self.failed:
            number, error = next(iter(self.failed.items()))
            parts.append(f"failed, stay open: {len(self.failed)} (request {number}: {error})")
        return ", ".join(parts)


def as_markdown(run: str, archive: Archive, requests: Sequence[OpenRequest]) -> str:
    """Open requests as Markdown with a place for each answer."""
    parts = [INTRODUCTION.format(count=len(requests), run=run)]
    for request in requests:
        mark = f"{request.number} · {_token(archive, request.number)}"
        parts.append(f"# Request {mark}\n\n{request.prompt.strip()}\n\n# Answer {mark}\n\n")
    return "\n".join(parts)


def take(archive: Archive, text: str, models: Sequence[Model], function: str, *, by: str) -> Report:
    """Record the answers of a file: batch results (JSON lines) or filled-in Markdown.

    `models`: those of the config, for their prices; `function`: what answers must define; `by`: who gave the answers
    of a Markdown file. All of the file is read before anything is recorded.

    Raises:
        UsageError: the file is neither, or belongs to another run.
    """
    text = text.removeprefix("\ufeff")
    batch = text.lstrip().startswith("{")
    given = list(_results(text, archive) if batch else _sections(text, archive))
    report = Report()
    for each in given:
        if each.number in report.taken or each.number in report.known:
            continue  # the same line twice
        if archive.answer(each.number) is not None:
            report.known.append(each.number)
        elif batch:
            _take_result(archive, each, models, function, report)
        else:
            call = archive.open_call(each.number)
            source = source_in(each.body, function, _base(archive, each.number, each.body))
            archive.add_answer(each.number, Answer(each.body, source, by, call=call))
            report.taken.append(each.number)
    return report


def _take_result(archive: Archive, given: Given, models: Sequence[Model], function: str, report: Report) -> None:
    """Record one line of batch results; a failed one ends its call, and leaves the request open.

    An answer to a call that has ended already settles the call by which the request was made again, if it was.
    """
    found = archive.find_call(given.key)
    assert found is not None  # or the file would have been refused
    call, ended = found
    model = _model(models, given.body)
    try:
        if given.error:
            raise Unusable(given.error, (0, 0))
        completion = Completion.of(given.body)
    except Unusable as error:
        if ended:
            return  # noted before
        usage = credible(error.usage, call.most)
        charge = call.most if usage is None else Charge(sum(usage), model.price(*usage))
        archive.settle(call.id, "rejected" if given.error else "unusable", charge, str(error), 0.0)
        report.failed[given.number] = str(error)
    else:
        if ended:
            call = archive.open_call(given.number) or archive.repeat(call)
        base = _base(archive, given.number, completion.text)
        answer = completion.answer(model, function, call.most, base=base, call=call, seconds=0.0)
        archive.add_answer(given.number, answer)
        report.taken.append(given.number)
        report.failed.pop(given.number, None)


def _results(text: str, archive: Archive) -> list[Given]:
    """The lines of a Batch API results or error file, errors last: they count where there is nothing else."""
    found: list[Given] = []
    for line_number, line in enumerate(text.split("\n"), 1):  # JSON may hold any other line separator
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            key, response, error = storable(str(record["custom_id"])), record.get("response"), record.get("error")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise UsageError(f"line {line_number} of the results is no line of a Batch API results file") from None
        if (call := archive.find_call(key)) is None:
            raise UsageError(
                f"line {line_number} of the results answers {key[:80]!r}, which is no request of run"
                f" '{archive.folder.name}'"
            )
        found.append(replace(_result(call[0].number, response, error), key=key))
    return sorted(found, key=lambda given: bool(given.error))


def _result(number: int, response: Any, error: Any) -> Given:
    match response, error:
        case {"status_code": 200, "body": body}, _:
            return Given(number, body)
        case {"status_code": int(status), "body": {"error": {"message": str(message)}}}, _:
            return Given(number, error=f"HTTP {status}: {message[:200]}")
        case {"status_code": int(status)}, _:
            return Given(number, error=f"HTTP {status}")
        case _, {"message": str(message)}:
            return Given(number, error=message[:200])
    return Given(number, error="the line holds no response")


def _sections(text: str, archive: Archive) -> Iterator[Given]:
    """The answers below their headings; an empty one is left out."""
    headings = list(MARK.finditer(text))
    if not any(mark[1] == "Answer" for mark in headings):
        raise UsageError("the file holds no line '# Answer …' as `discover ask` prints them, and no batch results")
    # What is no heading of ours is part of a prompt or an answer: the token is known only to who was asked.
    marks = [mark for mark in headings if mark[3] == _token(archive, int(mark[2]))]
    if not any(mark[1] == "Answer" for mark in marks):
        raise UsageError(
            f"no line '# Answer …' of the file is one of run '{archive.folder.name}': it belongs to another run, or"
            " its headings were changed"
        )
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    found: dict[int, str] = {}
    for mark, end in zip(marks, ends, strict=True):
        if mark[1] == "Answer" and (answer := text[mark.end() : end].strip()):
            found.setdefault(int(mark[2]), answer)
    for number, answer in found.items():
        yield Given(number, answer)


def _token(archive: Archive, number: int) -> str:
    return hashlib.sha256(f"{archive.id}:{number}:{archive.prompt(number)}".encode()).hexdigest()[:6]


def _base(archive: Archive, number: int, text: str) -> str | None:
    """The file that the edits in an answer change, if it holds any: that of the request's first parent."""
    asked = archive.asked(number) if has_edits(text) else None
    return source_of(archive, asked[1][0]) if asked and asked[1] else None


def _model(models: Iterable[Model], body: Any) -> Model:
    """The model of the config that a result names, else the first; one without prices where there is none."""
    known = list(models) or [Model(model="batch")]
    named = body.get("model") if isinstance(body, dict) else None
    return next((model for model in known if model.model == named), known[0])
