"""SIGKILL at random moments of a run that talks to an endpoint; `bench_kills` does the same a hundred times."""

from pathlib import Path

import pytest

from tests.discovery.kills import killed_and_resumed


@pytest.mark.parametrize(("seed", "idempotent"), [(1, True), (2, False)])
def test_killed_at_random_moments_nothing_is_lost_or_paid_twice(tmp_path: Path, seed: int, idempotent: bool) -> None:
    """Three kills each: committed candidates and answers stay as they were, and none is asked for again."""
    toll = killed_and_resumed(tmp_path, kills=3, candidates=24, idempotent=idempotent, seed=seed)
    assert toll.asked >= toll.candidates
