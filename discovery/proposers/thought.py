"""The idea a model states in or before its code: kept with the candidate and shown in later prompts.

Evolving the thought together with the code is what EoH (Liu et al., 2024, section 3) showed to save calls.
"""

from __future__ import annotations

import re

from evaluators.verdict import harmless

LENGTH = 240
"""Characters of an idea that are kept."""
LOOKED_AT = 10_000
"""Characters of an answer in which one is looked for."""

STATED = re.compile(r"^[ \t#>*_-]*(?:idea|thought)\b[*_ ]*:[*_\s]*([^\s*_].*)$", re.IGNORECASE | re.MULTILINE)
COMMENT = re.compile(
    r"^#[ \t]*(?:idea|thought)\b[ \t]*:[ \t]*([^\s.].*(?:\n#(?![ \t]*\w+:).*)*)$", re.IGNORECASE | re.MULTILINE
)
"""The same as a comment in the file, of one line or more."""
CODE = re.compile(r"```|~~~|^[ \t]*<{5,9} ?SEARCH", re.MULTILINE)
"""Where a block or an edit begins."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*])")
HEADING = re.compile(r"^\s*#")


def thought_in(text: str) -> str:
    """The idea in an answer, on one line: what it calls so, else the first sentence before its code; or nothing."""
    code = CODE.search(text)
    before = text[: min(code.start(), LOOKED_AT)] if code else ""  # else it is the file itself, or holds no code
    stated = STATED.search(before) or COMMENT.search(text, len(before), LOOKED_AT)
    said = stated[1].replace("\n#", "") if stated else None
    prose = said or " ".join(line for line in before.splitlines() if not HEADING.match(line))
    sentence = SENTENCE_END.split(prose.strip(), maxsplit=1)[0]
    return harmless(sentence.strip("*_ "), LENGTH)
