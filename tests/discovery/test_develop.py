import asyncio
from dataclasses import dataclass, field

import pytest

from discovery.asking import Asker
from discovery.candidate import Candidate, Draft
from discovery.develop import Developer, train_score
from discovery.proposers.base import Answer, Request
from discovery.seen import Seen
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict

DRAFT = Draft(7, 0, "create", ())
GOOD = Evaluation(Verdict.ok, "", (11.0, 33.0), 0.1, "sig")
BOUNDS = (10.0, 30.0)


@dataclass
class Stage:
    """Evaluator, proposer and journal in one: writes down, in order, what the developer does."""

    probe: Evaluation = GOOD
    train: Evaluation = GOOD
    answer_source: str | None = "source"
    committed: Candidate | None = None
    paid: Answer | None = None
    log: list[str] = field(default_factory=list)
    operators: tuple[str, ...] = ("create",)
    prompted: tuple[str, ...] = ("create",)
    lookahead: int = 4

    async def evaluate(self, source: str, split: str) -> Evaluation:
        """The prepared evaluation of the split."""
        self.log.append(split)
        return self.probe if split == "probe" else self.train

    async def propose(self, request: Request, ledger: object) -> Answer:
        """The prepared answer."""
        self.log.append(f"ask {request.prompt}")
        return Answer("text", self.answer_source, "model", 10, 20, cost=0.5)

    async def close(self) -> None:
        """Nothing to close."""

    def recall(self, draft: Draft) -> Candidate | None:
        """What was committed before."""
        return self.committed

    def add_request(self, draft: Draft, request: Request) -> None:
        """Note that the request was written down."""
        self.log.append("request")

    def answer(self, number: int) -> Answer | None:
        """What was paid for before."""
        return self.paid

    def answered(self, number: int, answer: Answer) -> None:
        """Note that the answer was written down."""
        self.log.append(f"answer {answer.cost}")


def develop(stage: Stage, known: dict[str, int] | None = None, lookahead: int = 4) -> Candidate:
    """Develop the draft on a stage; `known` maps behaviours to the number of the candidate that showed them."""

    seen = Seen()
    for signature, number in (known or {}).items():
        seen.note(Candidate(Draft(number, 0, "create", ()), None, Verdict.ok, "", 1.0, signature))
    return asyncio.run(developer(stage, seen, lookahead)(DRAFT))


def developer(stage: Stage, seen: Seen, lookahead: int = 4) -> Developer:
    """A developer on a stage."""

    async def prompt(draft: Draft) -> str:
        return "prompt"

    return Developer(
        ask=Asker(proposer=stage, journal=stage, ledger=stage, seed=1),  # type: ignore[arg-type]
        evaluator=stage,
        journal=stage,
        seen=seen,
        bounds=BOUNDS,
        prompt=prompt,
        lookahead=lookahead,
    )


def test_journal_first_then_the_cascade() -> None:
    """The request is written before it is sent, the answer before it is judged; probe comes before train."""
    stage = Stage()
    candidate = develop(stage)
    assert stage.log == ["request", "ask prompt", "answer 0.5", "probe", "train"]
    assert (candidate.verdict, candidate.cost) == (Verdict.ok, 0.5)
    assert candidate.score == pytest.approx(10)


def test_a_candidate_knows_its_author_and_idea() -> None:
    """Model, tokens and the idea in front of the code come with the candidate, live and from a paid answer."""
    answer = Answer("Idea: use slack. Then more.\n```python\nx\n```", "x", "m", 10, 20)
    candidate = develop(Stage(paid=answer))
    assert (candidate.model, candidate.tokens, candidate.thought) == ("m", 30, "use slack.")


def test_only_operators_that_want_one_get_a_prompt() -> None:
    """A draft that no model answers is journalled without a prompt: none is rendered."""
    stage = Stage(prompted=("mutate",))
    develop(stage)
    assert stage.log[:2] == ["request", "ask "]


def test_a_faulty_candidate_stops_at_the_probe() -> None:
    """Nothing is spent on train for a candidate that fails on the probe; its reason is kept."""
    stage = Stage(probe=Evaluation(Verdict.exception, "ValueError: mine", (), 0.0, ""))
    candidate = develop(stage)
    assert "train" not in stage.log
    assert (candidate.verdict, candidate.detail, candidate.score) == (Verdict.exception, "ValueError: mine", None)


def test_a_known_behaviour_stops_at_the_probe() -> None:
    """A duplicate is rejected before its full evaluation and names its twin."""
    stage = Stage()
    candidate = develop(stage, known={"sig": 2})
    assert "train" not in stage.log
    assert (candidate.verdict, candidate.detail) == (Verdict.duplicate, "behaves like 2")


def test_what_was_not_known_when_asking_does_not_count() -> None:
    """A twin still under way when the draft was asked for must not change what is evaluated: 7 − 4 + 1 = 4."""
    assert develop(Stage(), known={"sig": 3}).verdict is Verdict.duplicate
    assert develop(Stage(), known={"sig": 4}).verdict is Verdict.ok


def test_an_answer_without_code_is_a_recorded_verdict() -> None:
    """It is paid for, kept, and costs no evaluation."""
    stage = Stage(answer_source=None)
    candidate = develop(stage)
    assert stage.log == ["request", "ask prompt", "answer 0.5"]
    assert (candidate.verdict, candidate.cost) == (Verdict.no_code, 0.5)


def test_a_paid_answer_is_judged_without_asking() -> None:
    """After a kill between answer and verdict the recorded answer is taken."""
    stage = Stage(paid=Answer("text", "source", "model", cost=0.25))
    candidate = develop(stage)
    assert stage.log == ["probe", "train"]
    assert candidate.cost == 0.25


def test_a_committed_candidate_is_recalled() -> None:
    """Nothing is asked or evaluated for what is committed."""
    committed = Candidate(DRAFT, "source", Verdict.ok, "", 1.0, "sig")
    stage = Stage(committed=committed)
    assert develop(stage) is committed
    assert stage.log == []


def test_scores_without_positive_bounds_are_sums_of_costs() -> None:
    """Where every bound is zero there is no ratio, but the search still has something to minimise."""
    assert train_score(GOOD, (0.0, 0.0)) == 44.0
    assert train_score(Evaluation(Verdict.crash, "", (), 0.0, ""), BOUNDS) is None
