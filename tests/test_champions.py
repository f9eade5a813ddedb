"""The champions that are kept in the repository."""

import json
from pathlib import Path

import pytest

from discovery.champions import CHAMPIONS, kept, trials
from discovery.config import load_config
from evaluators.heuristic import baselines
from problems.registry import BUILT_IN, load_problem

KEPT = sorted(CHAMPIONS.glob("*/*.py"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_champion_has_its_trial_its_config_and_commands(path: Path) -> None:
    """It was accepted, as the list of trials says; its config is one that this version takes."""
    record = json.loads(path.with_suffix(".json").read_text())
    trial = record["trial"]
    assert trial["accepted"] and record["problem"] == path.parent.name
    assert (trial["run"], trial["candidate"]) == tuple(path.stem.rsplit("-", 1))
    assert trial in trials(path.parent.name)
    assert all(p is not None and p < 0.01 for p in trial["corrected_p"].values())
    config, _ = load_config(path.with_suffix(".toml").as_posix())
    assert config.run.problem == path.parent.name
    assert str(trial["seed"]) in record["reproduce"]["trial"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_champions_and_baselines_have_names_of_their_own(name: str) -> None:
    """A run may have both, so no name may be taken twice; no seed of a trial serves two candidates."""
    problem = load_problem(name)
    assert not set(kept(name)) & {heuristic.name for heuristic in baselines(problem)}
    seeds = [trial["seed"] for trial in trials(name)]
    assert len(set(seeds)) == len(seeds)
