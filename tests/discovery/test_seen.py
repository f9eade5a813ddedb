import asyncio
from functools import partial

import pytest

from discovery.candidate import Candidate, Draft
from discovery.normal_form import form_of
from discovery.seen import Seen
from evaluators.verdict import Verdict
from tests.discovery.test_develop import Stage, developer

FORM = partial(form_of, kept=frozenset(("priority",)))
FIRST = "def priority(p, d, t):\n    slack = d - t  # what is left\n    return slack / p\n"
AGAIN = '"""Another style."""\n\n\ndef priority(p, d, t):\n    x = d - t\n    return (x / p)\n'
OTHER = "def priority(p, d, t):\n    return (d - t) * p\n"


def seen(number: int, verdict: Verdict = Verdict.ok, detail: str = "", form: bool = True) -> Seen:
    """What was seen after candidate `number` was `FIRST`, and the baseline `other`."""
    found = Seen({}, {OTHER: "other"}, FORM if form else None)
    found.note(Candidate(Draft(number, 0, "create", ()), FIRST, verdict, detail, 1.0, "s"))
    return found


@pytest.mark.parametrize(
    ("source", "known", "verdict", "detail"),
    [
        (AGAIN, seen(2), Verdict.duplicate, "same code as 2"),
        (OTHER, seen(2), Verdict.duplicate, "same code as other"),
        (AGAIN, seen(2, Verdict.duplicate, "behaves like 1"), Verdict.duplicate, "same code as 2"),
        (AGAIN, seen(2, Verdict.exception, "ValueError: no"), Verdict.exception, "same code as 2: ValueError: no"),
    ],
)
def test_what_is_written_alike_is_not_evaluated(source: str, known: Seen, verdict: Verdict, detail: str) -> None:
    """A candidate that differs from an earlier one, or a baseline, by its style only gets its verdict at no cost."""
    stage = Stage(answer_source=source)
    candidate = asyncio.run(developer(stage, known)(Draft(7, 0, "mutate", ())))
    assert (candidate.verdict, candidate.detail, candidate.score) == (verdict, detail, None)
    assert "probe" not in stage.log and "train" not in stage.log


@pytest.mark.parametrize("known", [seen(4), seen(2, form=False)])
def test_what_was_not_known_when_asking_or_is_not_looked_for_is_evaluated(known: Seen) -> None:
    """A twin still under way then (7 − 4 + 1 = 4) decides nothing; nor does code where it is not compared."""
    stage = Stage(answer_source=AGAIN)
    assert asyncio.run(developer(stage, known)(Draft(7, 0, "mutate", ()))).verdict is Verdict.ok
    assert "train" in stage.log
