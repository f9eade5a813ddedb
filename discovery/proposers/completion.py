"""Reading what a chat completions endpoint sent: text, usage, and the heuristic in the text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from discovery.proposers.base import Answer, Call, Charge
from discovery.proposers.edits import edited, has_edits
from discovery.proposers.settings import Model
from prompts.source import as_shown

FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`]*)")
PYTHON = re.compile(r"(?:python3?|py)\b", re.IGNORECASE)
IN_PROSE = re.compile(r"(?<=\S) (```python)[ \t]*\n(?=[ \t\n]*(?:#|@|import\b|from\b|def\b|\w+ ?=))")
"""A fence at the end of a line of prose, with code after it; small models write so."""
TEMPLATE_TOKENS = 256
"""What a chat template may add to a prompt."""
INCREDIBLE = 10
"""Usage beyond this many times what a call may use is a wrong figure, not a bill."""


class Unusable(Exception):
    """The endpoint sent something that is no answer; `usage` is what it says it used, if it says so."""

    def __init__(self, message: str, usage: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Completion:
    """A chat completion. `usage`: tokens in and out; None if the endpoint gives no figures that can be true."""

    text: str
    usage: tuple[int, int] | None

    @classmethod
    def parse(cls, data: bytes | str) -> Completion:
        """Read the body of a reply.

        Raises:
            Unusable: it is no chat completion.
        """
        try:
            return cls.of(json.loads(data))
        except (ValueError, RecursionError):  # cut short, a web page, or nested to no end
            start = " ".join(
                bytes(data[:60]).decode(errors="replace").split() if isinstance(data, bytes) else [data[:60]]
            )
            raise Unusable(f"the answer is no JSON, it begins with {start!r}") from None

    @classmethod
    def of(cls, record: Any) -> Completion:
        """Read a decoded reply.

        Raises:
            Unusable: it is no chat completion.
        """
        usage = _usage(record.get("usage")) if isinstance(record, dict) else None
        match record:
            case {"choices": [{"message": {"content": str(text)}}, *_]}:
                return cls(text.encode(errors="replace").decode(), usage)  # half a surrogate pair cannot be stored
            case {"choices": [{"message": dict()}, *_]}:
                return cls("", usage)  # all thought and no answer, or refused: paid for, but without code
        raise Unusable("the answer is no chat completion", usage)

    def answer(
        self, model: Model, function: str, most: Charge, *, call: Call | None, seconds: float, base: str | None = None
    ) -> Answer:
        """The answer it makes; figures that are missing or cannot be true count as the `most` the call may use.

        `base`: the file that edits in it change.
        """
        used = credible(self.usage, most)
        if used is None or (self.text and used[1] == 0):
            used = split(most, model)
        source = source_in(self.text, function, base)
        return Answer(self.text, source, model.model, *used, seconds, model.price(*used), call)


def credible(usage: tuple[int, int] | None, most: Charge) -> tuple[int, int] | None:
    """The figures of an endpoint, unless they are far beyond what the call may use."""
    return usage if usage is not None and sum(usage) <= INCREDIBLE * most.tokens else None


def most_of(model: Model, prompt: str) -> Charge:
    """The most a call may use: a token is at least one byte of the prompt, and the answer's length is limited."""
    tokens = len(prompt.encode()) + TEMPLATE_TOKENS
    return Charge(tokens + model.longest_answer, model.price(tokens, model.longest_answer))


def split(most: Charge, model: Model) -> tuple[int, int]:
    """A charge that `most_of` made, as tokens in and out."""
    answer = min(model.longest_answer, most.tokens)  # which may have been changed since
    return most.tokens - answer, answer


def source_in(text: str, function: str, base: str | None) -> str | None:
    """The heuristic in an answer: `base`, as prompts show it, with the answer's edits made; else the code in it."""
    if base is not None and has_edits(text):
        return edited(text, as_shown(base))
    return code_in(text, function)


def code_in(text: str, function: str) -> str | None:
    """The heuristic in an answer: its last Python (or unlabelled) block that defines `function`, else its last block.

    A text without any fence that defines `function` is taken to be the file itself. None if there is no code.
    """
    defines = re.compile(rf"^def[ \t]+{re.escape(function)}[ \t]*\(", re.MULTILINE)
    blocks, _ = _blocks(text)
    for block in reversed(blocks):
        if defines.search(block):
            return block
    if blocks:
        return blocks[-1]
    return text if "```" not in text and defines.search(text) else None


def why_no_code(text: str) -> str:
    """What is wrong with an answer in which there is no code."""
    if not text.strip():
        return "the answer is empty"
    if has_edits(text):
        return "an edit's SEARCH lines are not in the file that was shown"
    if _blocks(text)[1]:
        return "the answer breaks off within its code block (a larger proposer.max_tokens may help)"
    return "the answer held no Python code block"


def _blocks(text: str) -> tuple[list[str], bool]:
    """The Python and unlabelled blocks of a text, and whether it ends within one.

    As in CommonMark, a block ends at a bare fence no shorter than its own, and what its fence is indented by is taken
    off its lines. Other than there, a fence labelled Python always begins a block, as models forget to end what was
    open, and it may stand at the end of a line of prose, if code comes next.
    """
    blocks: list[str] = []
    lines: list[str] = []
    indent, fence, wanted = "", "", False
    for line in IN_PROSE.sub(r"\n\1\n", text).split("\n"):  # and nowhere else: a file may hold any other line separator
        mark = FENCE.fullmatch(line)
        label = mark[3].strip() if mark else ""
        if mark and fence and not label and mark[2].startswith(fence):
            if wanted:
                blocks.append("".join(lines))
            fence = ""
        elif mark and (not fence or PYTHON.match(label)):
            indent, fence, lines, wanted = mark[1], mark[2], [], not label or bool(PYTHON.match(label))
        elif fence:
            lines.append(line.removeprefix(indent) + "\n")
    return blocks, bool(fence) and wanted


def _usage(record: object) -> tuple[int, int] | None:
    """Tokens in and out, if they are whole numbers that can be true."""
    match record:
        case {"prompt_tokens": int(tokens_in), "completion_tokens": int(tokens_out)}:
            return (tokens_in, tokens_out) if tokens_in > 0 and tokens_out >= 0 else None
    return None
