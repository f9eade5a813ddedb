from pathlib import Path

import pytest

from discovery.config import load_config, parse_config
from discovery.errors import UsageError

RUN = {"problem": "smtt_dispatch"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"run": {"problme": "smtt"}}, "unknown key 'run.problme'; did you mean 'problem'?"),
        ({"run": RUN, "serach": {}}, "unknown key 'serach'; did you mean 'search'?"),
        ({"run": RUN, "search": {"iland_size": 3}}, "did you mean 'island_size'?"),
        ({"run": RUN, "proposer": {"kind": "openai", "model": "m", "temprature": 1}}, "did you mean 'temperature'?"),
        ({"run": RUN, "budget": {"xyz": 1}}, "known: candidates, minutes"),
        ({"run": {}}, "key 'run.problem' is missing"),
        ({"run": RUN, "proposer": {"kind": "openai"}}, "key 'proposer.model' is missing"),
        ({"run": RUN, "proposer": {"kind": "opnai"}}, "'genetic', 'openai'"),
        ({"run": RUN, "budget": {"candidates": "many"}}, "'budget.candidates' = 'many'"),
        ({"run": RUN, "budget": {"candidates": 0}}, "'budget.candidates' = 0"),
        ({"run": {**RUN, "name": "../up"}}, "'run.name' = '../up'"),
    ],
)
def test_a_wrong_config_is_refused_with_the_key_and_the_remedy(data: dict[str, object], said: str) -> None:
    """Every refusal names the field; an unknown key also names the nearest known one."""
    with pytest.raises(UsageError) as caught:
        parse_config(data, "c.toml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_are_toml_values_and_bare_words(tmp_path: Path) -> None:
    """`--set` takes numbers, lists, tables and plain words, and makes sections that the file lacks."""
    path = tmp_path / "c.toml"
    path.write_text('[run]\nproblem = "smtt"\n')
    settings = ["run.problem=smtt_dispatch", "budget.candidates=7", 'search.seeds=["edd"]', "search.operators={tune=1}"]
    config, stem = load_config(str(path), settings)
    assert stem == "c"
    assert (config.run.problem, config.budget.candidates, config.search.seeds) == ("smtt_dispatch", 7, ("edd",))
    assert config.search.operators == {"tune": 1.0}


@pytest.mark.parametrize("setting", ["candidates=3", "budget.candidates", "=3", "run.problem.name=3"])
def test_a_malformed_override_is_refused(tmp_path: Path, setting: str) -> None:
    """A `--set` that names no section, no value, or goes below a value is bad usage."""
    path = tmp_path / "c.toml"
    path.write_text('[run]\nproblem = "smtt"\n')
    with pytest.raises(UsageError, match="--set"):
        load_config(str(path), [setting])


def test_broken_toml_and_missing_files_are_refused(tmp_path: Path) -> None:
    """The message says which file, and for broken TOML where."""
    path = tmp_path / "broken.toml"
    path.write_text("[run\n")
    with pytest.raises(UsageError, match=r"broken\.toml is not valid TOML: .*line 1"):
        load_config(str(path))
    with pytest.raises(UsageError, match=r"'absent\.toml' is no config file; shipped ones: demo"):
        load_config("absent.toml")


def test_shipped_configs_are_found_by_name_and_valid() -> None:
    """`discover run demo` works from anywhere; every config kept in runs/configs is valid."""
    config, stem = load_config("demo")
    assert (stem, config.run.problem, config.proposer.kind) == ("demo", "smtt_dispatch", "genetic")
    for path in Path("runs/configs").glob("*.toml"):
        load_config(str(path))
