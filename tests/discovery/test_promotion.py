import asyncio

from discovery.candidate import Candidate, Draft
from discovery.promotion import Promotion
from evaluators.verdict import Verdict


def promoted(scores: list[float | None], places: int) -> list[str]:
    """The labels that are validated when candidates with these scores are committed one by one."""
    validated: list[str] = []

    async def validate(label: str, source: str) -> None:
        validated.append(label)

    async def main() -> None:
        promotion = Promotion(validate, places)
        for number, score in enumerate(scores):
            verdict = Verdict.ok if score is not None else Verdict.crash
            promotion(Candidate(Draft(number, 0, "create", ()), "source", verdict, "", score))
        await promotion.finish()

    asyncio.run(main())
    return validated


def test_those_that_enter_the_best_places_are_validated() -> None:
    """With two places: the first two, then only who beats one of the two best so far; the faulty never."""
    assert promoted([5.0, 4.0, 6.0, None, 3.0, 4.5, 4.0, 1.0], places=2) == ["0", "1", "4", "7"]


def test_a_failed_validation_is_not_swallowed() -> None:
    """What goes wrong while validating comes out at the end of the search."""

    async def validate(label: str, source: str) -> None:
        raise RuntimeError("worker gone")

    async def main() -> None:
        promotion = Promotion(validate, 1)
        promotion(Candidate(Draft(0, 0, "create", ()), "source", Verdict.ok, "", 1.0))
        await promotion.finish()

    try:
        asyncio.run(main())
    except RuntimeError as error:
        assert str(error) == "worker gone"
    else:
        raise AssertionError("the failure was swallowed")
