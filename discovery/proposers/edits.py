"""Edits in an answer: blocks that say which lines of the file shown are to be replaced, and by which."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

BLOCK = re.compile(
    r"^[ \t]*<{5,9} ?SEARCH[ \t]*\r?\n(.*?)^[ \t]*={5,9}[ \t]*\r?\n(.*?)^[ \t]*>{5,9} ?REPLACE",
    re.MULTILINE | re.DOTALL,
)


def has_edits(text: str) -> bool:
    """Whether an answer holds edits."""
    return BLOCK.search(text) is not None


def edited(text: str, base: str) -> str | None:
    """`base` with the edits of an answer made, one after the other; None if one of them fits nowhere.

    Lines are found as they are, else without regard to spaces at their ends, else to their common indentation, as
    models lose both.
    """
    lines = base.splitlines()
    for old, new in BLOCK.findall(text):
        changed = _replaced(lines, old.splitlines(), new.splitlines())
        if changed is None:
            return None
        lines = changed
    return "\n".join(lines) + "\n"


def _replaced(lines: Sequence[str], old: Sequence[str], new: Sequence[str]) -> list[str] | None:
    """The lines with the first occurrence of `old` replaced."""
    if not any(line.strip() for line in old):
        return None
    for alike in (str, str.rstrip, str.strip):
        start = _found(lines, old, alike)
        if start is not None:
            shift = len(_indent(lines[start])) - len(_indent(old[0]))
            return [*lines[:start], *(_shifted(line, shift) for line in new), *lines[start + len(old) :]]
    return None


def _found(lines: Sequence[str], old: Sequence[str], alike: Callable[[str], str]) -> int | None:
    """Where `old` begins, lines being compared after `alike`."""
    wanted = [alike(line) for line in old]
    have = [alike(line) for line in lines]
    places = range(len(have) - len(wanted) + 1)
    return next((start for start in places if have[start : start + len(wanted)] == wanted), None)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _shifted(line: str, shift: int) -> str:
    """A line indented by so many columns more, or less."""
    if not line.strip():
        return line
    return " " * shift + line if shift >= 0 else line[min(-shift, len(_indent(line))) :]
