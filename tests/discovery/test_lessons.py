import asyncio
from dataclasses import dataclass, field

import pytest

from discovery.asking import Asker
from discovery.budget import BudgetSpent
from discovery.candidate import Candidate, Draft
from discovery.lessons import ATTEMPTS, LENGTH, LINES, Lessons, attempt, lesson_in
from discovery.proposers.base import Answer, Parent, Request
from evaluators.verdict import Verdict

EVERY, LOOKAHEAD = 10, 3


@dataclass
class Stage:
    """Proposer, journal and ledger in one: answers request −i with lesson i, when it is let."""

    paid: dict[int, Answer] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    prompted: tuple[str, ...] = ("mutate",)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def propose(self, request: Request, ledger: object) -> Answer:
        """One lesson, with the number of the request in it."""
        self.asked.append(request)
        await self.open.wait()
        if self.failure:
            raise self.failure
        return Answer(f"- lesson {-request.number}", None, "m", 1, 1)

    def add_request(self, draft: Draft, request: Request) -> None:
        """It is written down."""

    def answer(self, number: int) -> Answer | None:
        """What was paid for."""
        return self.paid.get(number)

    def answered(self, number: int, answer: Answer) -> None:
        """It is written down."""
        self.paid[number] = answer


def lessons(stage: Stage, every: int = EVERY) -> Lessons:
    """Lessons on a stage; the prompt holds what they are drawn from."""
    ask = Asker(proposer=stage, journal=stage, ledger=stage, seed=1)  # type: ignore[arg-type]
    return Lessons(ask, lambda tried, former: f"{former}|{';'.join(tried)}", every=every, lookahead=LOOKAHEAD)


def candidate(number: int, thought: str = "an idea") -> Candidate:
    """A judged candidate."""
    draft = Draft(number, 0, "mutate", (Parent("x", 1.5, "mdd"),))
    return Candidate(draft, "x", Verdict.ok, "", 1.25, f"s{number}", thought=thought or "")


async def searched(drawn: Lessons, drafts: int, start: int = 0) -> list[str]:
    """The lessons in force for each draft, as the loop asks for them: draft n when n − lookahead + 1 are committed."""
    found = []
    for number in range(drafts):
        if number >= LOOKAHEAD:
            drawn.note(candidate(number - LOOKAHEAD, f"idea {number - LOOKAHEAD}"))
        if number >= start:
            found.append(await drawn.before(number))
    return found


def test_a_lesson_is_drawn_from_the_candidates_before_it_and_holds_until_the_next() -> None:
    """Lesson i comes of candidates (i − 1)·10 … i·10 − 1 and lesson i − 1, and is in force 2·lookahead later."""
    stage = Stage()
    found = asyncio.run(searched(lessons(stage), 36))
    change = EVERY + 2 * LOOKAHEAD - 1
    assert found == [""] * change + ["- lesson 1"] * EVERY + ["- lesson 2"] * EVERY + ["- lesson 3"]
    assert [request.number for request in stage.asked] == [-1, -2, -3]
    first, second = stage.asked[0].prompt, stage.asked[1].prompt
    assert first == "|" + ";".join(attempt(candidate(n, f"idea {n}")) for n in range(10))
    assert second == "- lesson 1|" + ";".join(attempt(candidate(n, f"idea {n}")) for n in range(10, 20))


def test_drafts_wait_for_the_lesson_that_is_in_force_for_them() -> None:
    """However long the call takes, a draft gets the same lessons: timing decides nothing."""

    async def main() -> None:
        stage = Stage()
        stage.open.clear()
        drawn = lessons(stage)
        await searched(drawn, EVERY + 2 * LOOKAHEAD - 1)
        waiting = asyncio.ensure_future(drawn.before(EVERY + 2 * LOOKAHEAD - 1))
        await asyncio.sleep(0.01)
        assert not waiting.done() and len(stage.asked) == 1
        stage.open.set()
        assert await waiting == "- lesson 1"

    asyncio.run(main())


@pytest.mark.parametrize("killed_at", range(0, 36, 5))
def test_a_resumed_run_has_the_same_lessons(killed_at: int) -> None:
    """Recalled drafts ask for none, and what is recorded is not asked again; prompts and lessons are the same."""
    whole = Stage()
    undisturbed = asyncio.run(searched(lessons(whole), 36))
    stage = Stage()
    asyncio.run(searched(lessons(stage), killed_at))
    before = len(stage.paid)
    again = asyncio.run(searched(lessons(stage), 36, start=killed_at))
    assert again == undisturbed[killed_at:]
    assert [request.prompt for request in stage.asked] == [request.prompt for request in whole.asked]
    assert len(stage.asked) - before == len(whole.asked) - before


def test_a_lesson_in_flight_at_a_kill_is_asked_again() -> None:
    """It was not answered: the next session asks for it, from the same candidates."""
    whole = Stage()
    undisturbed = asyncio.run(searched(lessons(whole), 36))
    stage = Stage(paid={-1: whole.paid[-1]})
    start = 2 * EVERY + LOOKAHEAD
    again = asyncio.run(searched(lessons(stage), 36, start=start))
    assert again == undisturbed[start:]
    assert [request.prompt for request in stage.asked] == [request.prompt for request in whole.asked[1:]]


def test_without_lessons_nothing_is_asked() -> None:
    """Every 0: no call, no wait."""
    stage = Stage()
    assert asyncio.run(searched(lessons(stage, every=0), 36)) == [""] * 36
    assert stage.asked == []


def test_what_keeps_a_lesson_away_ends_only_the_drafts_that_need_it() -> None:
    """A spent budget is no news before the lesson is needed; then the draft is refused with the reason."""

    async def main() -> None:
        drawn = lessons(Stage(failure=BudgetSpent("no tokens left")))
        assert await searched(drawn, EVERY + 2 * LOOKAHEAD - 1) == [""] * (EVERY + 2 * LOOKAHEAD - 1)
        with pytest.raises(BudgetSpent, match="no tokens left"):
            await drawn.before(EVERY + 2 * LOOKAHEAD - 1)

    asyncio.run(main())


def test_attempts_without_an_idea_teach_nothing() -> None:
    """Tuned candidates and silent models are left out; of the others the last so many are told."""
    stage = Stage()
    drawn = lessons(stage, every=100)
    for number in range(100):
        drawn.note(candidate(number, "an idea" if number % 2 else ""))
    asyncio.run(drawn.before(100 + LOOKAHEAD - 1 + LOOKAHEAD))
    assert stage.asked[0].prompt.count("an idea") == ATTEMPTS


def test_an_attempt_says_where_it_started_and_what_came_of_it() -> None:
    """A score, or the verdict; a failed parent has no score to start from."""
    assert attempt(candidate(1)) == "mutate from 1.500: 1.250. an idea"
    draft = Draft(1, 0, "repair", (Parent("x", float("inf"), "0", fault="exception"),))
    assert attempt(Candidate(draft, "x", Verdict.crash, thought="it")) == "repair: crash. it"
    wrong = Candidate(draft, "x", Verdict.invalid_decision, "expected scores of shape (50,), got ()", thought="it")
    assert attempt(wrong) == "repair: invalid_decision (expected scores of shape (50,), got ()). it"
    assert attempt(Candidate(draft, "x", Verdict.duplicate, "behaves like 3", thought="it")) == "repair: duplicate. it"


def test_a_lesson_is_a_few_short_lines() -> None:
    """Listed lines count, however listed; without any, the first; nothing in them can end a quotation."""
    assert lesson_in("Here:\n- one\n2. two\n* three `x`") == "- one\n- two\n- three 'x'"
    assert lesson_in("Just this.\nAnd that.") == "- Just this."
    assert lesson_in("") == ""
    long = lesson_in("\n".join(f"- {'x' * 1000}" for _ in range(20)))
    assert len(long.splitlines()) == LINES and max(map(len, long.splitlines())) <= LENGTH + 2
