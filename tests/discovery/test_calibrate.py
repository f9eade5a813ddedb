import json
from pathlib import Path

import pytest

from engine_bridge.cost import load_profile
from tests.discovery.conftest import discover
from tests.engine_bridge.test_calibration import TRUE, log_of


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A step log of 400 steps."""
    path = tmp_path / "steps.csv"
    log_of(TRUE, 400, 1, noise=0.02).write(path)
    return path


def test_calibrate_fits_saves_and_shows_its_error(log: Path) -> None:
    """As a table for people and as JSON; the profile written is the one printed."""
    result = discover("calibrate", str(log), "--profile", "mine.json", "--json", cwd=log.parent)
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["fitted"] and record["error"]["regimes"]["all"]["median"] < 0.03
    assert load_profile(log.parent / "mine.json").coefficients.kv == record["coefficients"]["kv"]
    text = discover("calibrate", str(log), cwd=log.parent).stdout
    assert "compute-bound" in text and "held out" in text


def test_without_a_log_the_shipped_profiles_are_shown(tmp_path: Path) -> None:
    """With their form error, and marked as derived."""
    result = discover("calibrate", cwd=tmp_path)
    assert result.stdout.count("derived, not measured: roofline of one H200") == 3
    assert "kernel by kernel" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch.csv",), "cannot read the step log nosuch.csv"),
        (("steps.csv", "--top-k", "2"), "--top-k 2 of --experts 0"),
        (("--profile", "mine.json"), "give the step log to fit to"),
    ],
)
def test_bad_use_is_refused_in_one_sentence(log: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2 and no traceback."""
    result = discover("calibrate", *arguments, cwd=log.parent)
    assert result.returncode == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1
