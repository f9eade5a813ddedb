"""Answers that come by file: results of a batch, or Markdown that a person or another model has filled in."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from discovery.archive import Archive, OpenRequest
from discovery.errors import UsageError
from discovery.proposers.base import Answer, Call, Charge
from discovery.proposers.completion import Completion, Unusable, code_in, credible, most_of
from discovery.proposers.settings import Model

MARK = re.compile(r"^# (Request|Answer) (\d+) · ([0-9a-f]{6})[ \t]*\r?$", re.MULTILINE)
INTRODUCTION = """\
<!-- {count} open requests of run {run}. Write each answer below its line "# Answer …"; leave those lines as they are.
     What you leave empty stays open. Then: discover answer {run} FILE -->
"""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer of a file, or the `error` in its place.

    `body`: a decoded chat completion, or plain text. `call`: the call it answers, unless that has ended already.
    """

    number: int
    body: Any = None
    error: str = ""
    call: Call | None = None


@dataclass(slots=True)
class Report:
    """What became of the answers of a file, by number of the candidate."""

    taken: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{len(self.taken)} answers taken"]
        if self.known:
            parts.append(f"{len(self.known)} were there already")
        if self.failed:
            number, error = next(iter(self.failed.items()))
            parts.append(f"{len(self.failed)} failed and stay open (request {number}: {error})")
        return ", ".join(parts)


def as_markdown(run: str, archive: Archive, requests: Sequence[OpenRequest]) -> str:
    """Open requests as Markdown with a place for each answer."""
    parts = [INTRODUCTION.format(count=len(requests), run=run)]
    for request in requests:
        mark = f"{request.number} · {_token(archive, request)}"
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
        if archive.answer(each.number) is not None:
            report.known.append(each.number)
        elif batch:
            _take_result(archive, each, models, function, report)
        else:
            archive.add_answer(each.number, Answer(each.body, code_in(each.body, function), by, call=each.call))
            report.taken.append(each.number)
    return report


def _take_result(archive: Archive, given: Given, models: Sequence[Model], function: str, report: Report) -> None:
    """Record one line of batch results; a failed one ends its call, and leaves the request open."""
    model = _model(models, given.body)
    most = given.call.most if given.call else most_of(model, archive.prompt(given.number))
    try:
        if given.error:
            raise Unusable(given.error, (0, 0))
        answer = Completion.of(given.body).answer(model, function, most, call=given.call, seconds=0.0)
    except Unusable as error:
        if given.call is not None:
            usage = credible(error.usage, most)
            charge = most if usage is None else Charge(sum(usage), model.price(*usage))
            archive.settle(given.call.id, "rejected" if given.error else "unusable", charge, str(error), 0.0)
        report.failed[given.number] = str(error)
    else:
        archive.add_answer(given.number, answer)
        report.taken.append(given.number)


def _results(text: str, archive: Archive) -> Iterator[Given]:
    """The lines of a Batch API results or error file, each request once; what failed and was noted is left out."""
    seen: set[str] = set()
    for line_number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            key, response, error = str(record["custom_id"]), record.get("response"), record.get("error")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise UsageError(f"line {line_number} of the results is no line of a Batch API results file") from None
        if (found := archive.find_call(key)) is None:
            raise UsageError(
                f"line {line_number} of the results answers '{key[:80]}', which is no request of run"
                f" '{archive.folder.name}'"
            )
        call, ended = found
        given = _result(call.number, response, error)
        if key not in seen and not (ended and given.error):
            seen.add(key)
            yield replace(given, call=None if ended else call)


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
    tokens = {request.number: _token(archive, request) for request in archive.open_requests()}
    marks = list(MARK.finditer(text))
    if not any(mark[1] == "Answer" for mark in marks):
        raise UsageError("the file holds no line '# Answer …' as `discover ask` prints them, and no batch results")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    found: dict[int, str] = {}
    for mark, end in zip(marks, ends, strict=True):
        number, answer = int(mark[2]), text[mark.end() : end].strip()
        # What is no heading of ours is part of a prompt or an answer: the token is known only to who was asked.
        if mark[1] == "Answer" and answer and tokens.get(number, mark[3]) == mark[3]:
            found.setdefault(number, answer)
    for number, answer in found.items():
        yield Given(number, answer, call=archive.open_call(number))


def _token(archive: Archive, request: OpenRequest) -> str:
    return hashlib.sha256(f"{archive.id}:{request.number}:{request.prompt}".encode()).hexdigest()[:6]


def _model(models: Iterable[Model], body: Any) -> Model:
    """The model of the config that a result names, else the first; one without prices where there is none."""
    known = list(models) or [Model(model="batch")]
    named = body.get("model") if isinstance(body, dict) else None
    return next((model for model in known if model.model == named), known[0])
