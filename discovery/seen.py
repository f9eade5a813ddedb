"""What was already seen: the code and the behaviour of every earlier heuristic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from discovery.candidate import Candidate
from discovery.normal_form import Form
from evaluators.verdict import Verdict

NONE: Mapping[str, str] = MappingProxyType({})
SAME_CODE = "same code as "
"""How the detail of a candidate begins that was not evaluated, as its code had been."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The first candidate (or, numbered −1, baseline) of some code, and what became of it."""

    number: int
    label: str
    verdict: Verdict = Verdict.ok
    detail: str = ""

    @property
    def again(self) -> tuple[Verdict, str]:
        """Verdict and detail of who is written alike: a duplicate, or what the first one failed with."""
        if self.verdict in (Verdict.ok, Verdict.duplicate):
            return Verdict.duplicate, f"{SAME_CODE}{self.label}"
        return self.verdict, f"{SAME_CODE}{self.label}: {self.detail}"


class Seen:
    """Remembers the first of each behaviour and of each normal form."""

    def __init__(
        self,
        behaviours: Mapping[str, str] = NONE,
        code: Mapping[str, str] = NONE,
        form: Callable[[str], Form | None] | None = None,
    ) -> None:
        """`behaviours`, `code`: names of baselines by signature, by source. Without a `form` code is not compared."""
        self._form = form
        self._behaviours = {signature: (-1, name) for signature, name in behaviours.items()}
        self._code: dict[str, Twin] = {}
        for source, name in code.items():
            self._remember(source, Twin(-1, name))

    def duplicate_of(self, signature: str, *, before: int) -> str | None:
        """Who showed this behaviour first, if it was a baseline or a candidate numbered below `before`."""
        number, label = self._behaviours.get(signature, (before, ""))
        return label if number < before else None

    def same_code(self, source: str, *, before: int) -> Twin | None:
        """Who was written alike first (see `normal_form`), if it was a baseline or is numbered below `before`."""
        form = self._form(source) if self._form else None
        twin = self._code.get(form.digest) if form else None
        return twin if twin is not None and twin.number < before else None

    def note(self, candidate: Candidate) -> Candidate:
        """Remember a judged candidate; it comes back as a duplicate if an earlier one behaves the same."""
        number = candidate.draft.number
        if candidate.signature:
            if (twin := self.duplicate_of(candidate.signature, before=number)) is not None:
                candidate = replace(candidate, verdict=Verdict.duplicate, score=None, detail=f"behaves like {twin}")
            else:
                self._behaviours[candidate.signature] = (number, candidate.label)
        if candidate.source is not None:
            self._remember(candidate.source, Twin(number, candidate.label, candidate.verdict, candidate.detail))
        return candidate

    def _remember(self, source: str, twin: Twin) -> None:
        form = self._form(source) if self._form else None
        if form is not None:
            self._code.setdefault(form.digest, twin)
