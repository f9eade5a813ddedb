"""What every proposer promises, whatever it asks: one suite over all of them."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from discovery.answers import take
from discovery.archive import CREATED, Archive
from discovery.budget import Budget, BudgetSpent
from discovery.candidate import Candidate, Draft
from discovery.ledger import Ledger
from discovery.operators import PARENTS, TUNE, weights_for
from discovery.proposers.base import NOTHING, TUNER, Answer, AnswersWanted, Parent, ProposerError, Request
from discovery.proposers.batch import request_line
from discovery.proposers.completion import most_of
from discovery.proposers.genetic import Genetic
from discovery.proposers.make import make_proposer
from discovery.proposers.replay import Replay
from discovery.proposers.settings import (
    KINDS,
    BatchProposer,
    GeneticProposer,
    Model,
    OpenAIProposer,
    ReplayProposer,
    Settings,
)
from discovery.proposers.tuning import WithTuning
from evaluators.verdict import Verdict
from problems.registry import load_problem
from tests.discovery.runs import reply, result_line
from tests.endpoint import completion, endpoint

PROBLEM = load_problem("smtt_dispatch")
RULE = "import numpy as np\n\n\ndef priority(p, d, t):\n    return {}\n"
PARENT_SOURCES = [RULE.format(text) for text in ("np.maximum(t + p, d)", "d - 2 * p")]
LIVE = ("openai", "batch")


def requests() -> list[Request]:
    """One request for each operator there is, twice."""
    made = []
    for number, operator in enumerate([*PARENTS, *PARENTS]):
        parents = tuple(Parent(source, 1.5 + i, str(i)) for i, source in enumerate(PARENT_SOURCES[: PARENTS[operator]]))
        made.append(Request(number, 7, operator, parents, f"Do it: {operator}, number {number}. 数 “…”"))
    return made


@dataclass
class Stage:
    """A proposer, its ledger and the journal behind it."""

    kind: str
    folder: Path
    archive: Archive
    settings: Settings
    sent: Callable[[], list[str]] = lambda: []
    limits: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.proposer = make_proposer(self.settings, PROBLEM)

    @property
    def model(self) -> Model:
        """The model that is asked."""
        assert isinstance(self.settings, OpenAIProposer | BatchProposer)
        return self.settings.models[0]

    def ledger(self) -> Ledger:
        """A ledger as a session makes one."""
        return Ledger(self.archive, Budget(candidates=100, **self.limits))

    async def propose(self, request: Request, ledger: Ledger) -> Answer:
        """The answer, as the loop gets it: one that comes by file is asked for, brought, and found in the journal."""
        parents = json.dumps([parent.label for parent in request.parents])
        draft = Draft(request.number, 0, request.operator, request.parents)
        self.archive.add_request(draft, request)
        assert self.archive.asked(request.number) == (request.operator, json.loads(parents))
        try:
            answer = await self.proposer.propose(request, ledger)
        except AnswersWanted:
            call = self.archive.open_call(request.number)
            assert call is not None
            line = result_line(json.loads(request_line(call.key, self.model, request.prompt)))
            assert take(self.archive, line, [self.model], "priority", by="batch").taken == [request.number]
        else:
            ledger.answered(request.number, answer)
        found = self.archive.answer(request.number)
        assert found is not None
        return found

    async def __aenter__(self) -> "Stage":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.proposer.close()


@contextmanager
def staged(kind: str, folder: Path, **limits: Any) -> Iterator[Stage]:
    """A proposer of this kind with what it needs: a real endpoint, or a recording."""
    with ExitStack() as stack:
        sent: Callable[[], list[str]] = list
        settings: Settings = GeneticProposer()
        if kind == "openai":
            server = stack.enter_context(
                endpoint(lambda number, request: completion(reply(request["messages"][0]["content"])))
            )
            settings = OpenAIProposer(
                kind="openai",
                model="mock",
                base_url=server.url,
                input_price=1.0,
                attempts=1,  # type: ignore[call-arg]
            )
            sent = lambda: [str(request["messages"][0]["content"]) for request in server.requests]  # noqa: E731
        elif kind == "batch":
            settings = BatchProposer(kind="batch", model="mock", input_price=1.0)  # type: ignore[call-arg]
        elif kind == "replay":
            settings = ReplayProposer(kind="replay", run=record(folder / "recorded"))
        archive = stack.enter_context(Archive(folder / "r", "create"))
        archive.event(CREATED)
        yield Stage(kind, folder, archive, settings, sent, limits)


def record(folder: Path) -> Path:
    """A recorded run that got an answer for every request."""
    with Archive(folder, "create") as archive:
        archive.describe(config={"search": {"lookahead": 5}})
        archive.event(CREATED)
        for request in requests():
            draft = Draft(request.number, 0, request.operator, request.parents)
            archive.add_request(draft, request)
            text = reply(request.prompt)
            source = None if "```" not in text else text.partition("```python\n")[2].removesuffix("```")
            archive.add_answer(request.number, Answer(text, source, "mock", 100, 20, 0.5, 0.1))
            archive.commit(Candidate(draft, source, Verdict.no_code if source is None else Verdict.crash, ""), 0.0)
    return folder


@pytest.fixture(params=["genetic", "openai", "batch", "replay"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Each kind of proposer in turn."""
    with staged(request.param, tmp_path) as made:
        yield made


def known(stage: Stage) -> list[Request]:
    """The requests whose operators the proposer knows."""
    return [request for request in requests() if request.operator in stage.proposer.operators]


def modelled(stage: Stage, request: Request) -> bool:
    """Whether a model answers it, live or recorded; the tuner needs none."""
    return stage.kind != "genetic" and not (stage.kind in LIVE and request.operator == TUNE)


def play(stage: Stage, main: Callable[[], Any]) -> Any:
    """Run a coroutine and close the proposer, in one event loop."""

    async def played() -> Any:
        async with asyncio.timeout(30), stage:
            return await main()

    return asyncio.run(played())


def test_the_suite_knows_every_kind() -> None:
    """A new kind of proposer must come here."""
    assert set(KINDS) == {"genetic", "openai", "batch", "replay"}


def test_operators_and_look_ahead(stage: Stage) -> None:
    """Operators are some of those the search knows, each once; there is a weight for them; it looks ahead."""
    proposer = stage.proposer
    assert isinstance(proposer, Genetic | WithTuning | Replay)
    assert proposer.operators and len(set(proposer.operators)) == len(proposer.operators)
    assert set(proposer.operators) <= set(PARENTS)
    assert weights_for(proposer.operators, {}, proposer.weights)
    assert proposer.lessons_every >= 0
    assert proposer.lookahead >= 1
    assert set(proposer.prompted) <= set(proposer.operators)
    assert inspect.iscoroutinefunction(proposer.propose) and inspect.iscoroutinefunction(proposer.close)
    play(stage, lambda: asyncio.sleep(0))


def test_an_answer_for_every_operator(stage: Stage) -> None:
    """Text that is kept whole, a source in it that defines the function or a text without code, and a model's name."""

    async def main() -> None:
        ledger = stage.ledger()
        for request in known(stage):
            answer = await stage.propose(request, ledger)
            assert answer.text and answer.model
            assert (answer.source is None) == ("def priority(" not in answer.text)
            if answer.source is not None:
                assert answer.source in answer.text, "verbatim"
                assert re.search(r"^def priority\(p\b", answer.source, re.MULTILINE)
                compile(answer.source, "answer", "exec")
            if modelled(stage, request):
                assert answer.text == reply(request.prompt)
            elif stage.kind != "genetic":
                assert (answer.model, answer.source) == (TUNER, answer.text) and answer.text != request.base

    play(stage, main)


def test_nothing_but_seed_and_number_draws(stage: Stage, tmp_path: Path) -> None:
    """Asked in another order, by another instance, the same requests get the same answers."""

    async def main(each: Stage, wanted: list[Request]) -> dict[int, str]:
        ledger = each.ledger()
        return {request.number: (await each.propose(request, ledger)).text for request in wanted}

    wanted = known(stage)
    forwards = play(stage, lambda: main(stage, wanted))
    with staged(stage.kind, tmp_path / "again") as again:
        assert play(again, lambda: main(again, wanted[::-1])) == forwards


def test_requests_are_left_alone(stage: Stage) -> None:
    """A request, its parents and its prompt are the same after as before, and the prompt is what is sent."""

    async def main() -> None:
        ledger = stage.ledger()
        for request, copy in zip(known(stage), known(stage), strict=True):
            await stage.propose(request, ledger)
            assert request == copy

    play(stage, main)
    if stage.kind == "openai":
        assert stage.sent() == [request.prompt for request in known(stage) if modelled(stage, request)]


def test_costs_go_through_the_ledger_alone(stage: Stage) -> None:
    """What is asked of an endpoint is reserved, written down and settled, to the token; the others make no call."""

    async def main() -> Ledger:
        ledger = stage.ledger()
        for request in known(stage):
            answer = await stage.propose(request, ledger)
            if stage.kind == "genetic":
                assert (answer.charge, answer.seconds) == (NOTHING, 0.0)
        return ledger

    ledger = play(stage, main)
    calls = stage.archive.calls()
    again = Ledger(stage.archive, Budget(candidates=1)).spending
    if stage.kind not in LIVE:
        assert calls == [] and ledger.spending.calls == 0
        return
    assert [call.number for call in calls] == [each.number for each in known(stage) if modelled(stage, each)]
    assert {call.outcome for call in calls} == {"answered"}
    assert (again.calls, again.charge.tokens, again.held) == (len(calls), 120 * len(calls), NOTHING)
    assert again.charge.cost == pytest.approx(len(calls) * 100 / 1e6)
    if stage.kind == "openai":
        assert (ledger.spending.calls, ledger.spending.charge.tokens) == (again.calls, again.charge.tokens)
        assert ledger.spending.charge.cost == pytest.approx(again.charge.cost)


@pytest.mark.parametrize("kind", LIVE)
def test_what_has_no_room_is_not_asked(tmp_path: Path, kind: str) -> None:
    """A call that may cost more than is left is refused before it is written down, let alone sent."""
    request = requests()[0]
    with staged(kind, tmp_path) as stage:
        stage.limits = {"tokens": most_of(stage.model, request.prompt).tokens - 1}

        async def main() -> None:
            with pytest.raises(BudgetSpent, match="has no room for another call"):
                await stage.propose(request, stage.ledger())

        play(stage, main)
        assert stage.archive.calls() == []
        assert stage.sent() == []


def test_nothing_is_asked_after_the_ledger_is_closed(stage: Stage) -> None:
    """In a session that is closing no call begins."""

    async def main() -> None:
        ledger = stage.ledger()
        ledger.close()
        for request in known(stage):
            try:
                await stage.proposer.propose(request, ledger)
            except ProposerError as error:
                assert stage.kind in LIVE and "the session is closing" in str(error)
            else:
                assert stage.kind not in LIVE or request.operator == TUNE

    play(stage, main)
    assert stage.archive.calls() == []
    assert stage.sent() == []


def test_many_at_once(stage: Stage) -> None:
    """All requests under way together: each gets its own answer."""

    async def main() -> list[str]:
        ledger = stage.ledger()
        return [answer.text for answer in await asyncio.gather(*(stage.propose(each, ledger) for each in known(stage)))]

    for request, text in zip(known(stage), play(stage, main), strict=True):
        if modelled(stage, request):
            assert text == reply(request.prompt)


def test_closing_twice_is_harmless(stage: Stage) -> None:
    """Before the first request, after the last, and again."""

    async def main() -> None:
        await stage.propose(known(stage)[0], stage.ledger())
        await stage.proposer.close()
        await stage.proposer.close()

    play(stage, main)


# ---- what only some of them do


def test_an_open_request_is_not_reserved_again(tmp_path: Path) -> None:
    """Asked again in the next session, a batch request whose answer has not come keeps its one call."""
    with staged("batch", tmp_path) as stage:
        request = requests()[0]
        stage.archive.add_request(Draft(0, 0, request.operator, ()), request)
        for _ in range(3):
            with pytest.raises(AnswersWanted):
                asyncio.run(stage.proposer.propose(request, stage.ledger()))
        assert len(stage.archive.calls()) == 1


def test_a_batch_waits_for_what_is_open_before_it_says_the_budget_is_spent(tmp_path: Path) -> None:
    """No room for a request while others wait for answers, which may cost less than is held: the run must wait too."""
    first, second = requests()[:2]
    with staged("batch", tmp_path) as stage:
        stage.limits = {"tokens": most_of(stage.model, second.prompt).tokens + 10}
        with pytest.raises(AnswersWanted):
            asyncio.run(stage.proposer.propose(second, stage.ledger()))
        with pytest.raises(AnswersWanted):
            asyncio.run(stage.proposer.propose(first, stage.ledger()))
        call = stage.archive.open_call(second.number)
        assert call is not None and len(stage.archive.calls()) == 1
        stage.archive.settle(call.id, "unusable", call.most, "", 0.0)
        with pytest.raises(BudgetSpent):
            asyncio.run(stage.proposer.propose(first, stage.ledger()))


def test_a_replay_refuses_what_was_not_asked(tmp_path: Path) -> None:
    """Another operator, other parents: one sentence that names both; after the last candidate the recording ends."""
    with staged("replay", tmp_path) as stage:

        async def main() -> None:
            ledger = stage.ledger()
            request = requests()[1]
            for other in (Request(1, 7, "create", (), ""), Request(1, 7, request.operator, request.parents[:0], "")):
                with pytest.raises(ProposerError, match=r"request 1 is \w+, but the recording .* has mutate of 0"):
                    await stage.proposer.propose(other, ledger)
            with pytest.raises(BudgetSpent, match=r"ends after 12 candidates"):
                await stage.proposer.propose(Request(12, 7, "create", (), ""), ledger)

        play(stage, main)
