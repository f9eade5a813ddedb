from pathlib import Path

import pytest

from discovery.config import Config, amend, load_config, override, parse_config
from discovery.errors import UsageError
from discovery.proposers.settings import BatchProposer, Model, OpenAIProposer

RUN = {"problem": "smtt_dispatch"}
LLM = {"kind": "openai", "model": "m"}
SECRET = "sk-proj-12345abcde"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"run": {"problme": "smtt"}}, "unknown key 'run.problme'; did you mean 'problem'?"),
        ({"run": RUN, "serach": {}}, "unknown key 'serach'; did you mean 'search'?"),
        ({"run": RUN, "search": {"iland_size": 3}}, "did you mean 'island_size'?"),
        ({"run": RUN, "proposer": {"kind": "openai", "model": "m", "temprature": 1}}, "did you mean 'temperature'?"),
        ({"run": RUN, "budget": {"xyz": 1}}, "known: candidates, calls, tokens, money, minutes"),
        ({"run": {}}, "key 'run.problem' is missing"),
        ({"run": RUN, "proposer": {"kind": "openai"}}, "key 'proposer.model' is missing"),
        (
            {"run": RUN, "proposer": {"kind": "opnai"}},
            "'proposer.kind' 'opnai' must be one of genetic, openai, batch, replay",
        ),
        ({"run": RUN, "proposer": {"model": "m"}}, "'proposer.kind' must be one of genetic, openai, batch, replay"),
        ({"run": RUN, "proposer": {**LLM, "batch": 1}}, "unknown key 'proposer.batch'"),
        ({"run": RUN, "proposer": {"kind": "batch", "model": "m", "atempts": 1}}, "unknown key 'proposer.atempts'"),
        ({"run": RUN, "proposer": {"kind": "replay", "rum": "x"}}, "unknown key 'proposer.rum'; did you mean 'run'?"),
        ({"run": RUN, "proposer": {"kind": "genetic", "model": "m"}}, "unknown key 'proposer.model'; known: kind"),
        ({"run": RUN, "budget": {"batch": 1}}, "unknown key 'budget.batch'"),
        (
            {"run": RUN, "proposer": {"kind": "openai", "models": [{"model": "a"}, {"model": "b", "wieght": 2}]}},
            "unknown key 'proposer.models.1.wieght'; did you mean 'weight'?",
        ),
        ({"run": RUN, "proposer": {"kind": "openai", "models": [{"model": "a"}, {}]}}, "'proposer.models.1.model' is"),
        ({"run": RUN, "proposer": {"kind": "openai", "models": []}}, "'proposer.models': "),
        ({"run": RUN, "proposer": {"kind": "openai", "models": 3}}, "'proposer.models' = 3: "),
        ({"run": RUN, "proposer": {"kind": "batch", "models": [{"model": "a"}] * 2}}, "'proposer.models': "),
        ({"run": RUN, "proposer": {**LLM, "temperature": 9}}, "'proposer.temperature' = 9: "),
        ({"run": RUN, "proposer": {**LLM, "omit": ["messages"]}}, "'proposer.omit.0' = 'messages': "),
        ({"run": RUN, "proposer": {**LLM, "extra_body": {"n": 3}}}, "'proposer.extra_body': 'n' is not for extra_body"),
        ({"run": RUN, "proposer": {**LLM, "api_key_env": "PATH"}}, "handed to worker processes"),
        ({"run": RUN, "proposer": {**LLM, "api_key_env": "PYTHON_KEY"}}, "handed to worker processes"),
        ({"run": RUN, "proposer": {**LLM, "base_url": "localhost:8000"}}, "give a URL such as"),
        ({"run": RUN, "proposer": {**LLM, "base_url": "file:///etc"}}, "give a URL such as"),
        ({"run": RUN, "proposer": LLM, "budget": {"money": 1}}, "budget.money needs prices"),
        ({"run": RUN, "budget": {"money": 1}}, "budget.money needs prices"),
        ({"run": RUN, "proposer": {**LLM, "omit": ["max_tokens"]}, "budget": {"tokens": 9}}, "need answers that end"),
        (
            {"run": RUN, "proposer": {**LLM, "extra_body": {"max_tokens": -1}}, "budget": {"tokens": 9}},
            "need answers that end",
        ),
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
    with pytest.raises(UsageError, match=r"'absent\.toml' is no config file; shipped ones: .*demo"):
        load_config("absent.toml")


def test_shipped_configs_are_found_by_name_and_valid() -> None:
    """`discover run demo` works from anywhere; every config kept in runs/configs is valid."""
    config, stem = load_config("demo")
    assert (stem, config.run.problem, config.proposer.kind) == ("demo", "smtt_dispatch", "genetic")
    for path in Path("runs/configs").glob("*.toml"):
        load_config(str(path))


@pytest.mark.parametrize(
    "proposer",
    [
        {**LLM, "api_key_env": SECRET},
        {**LLM, "api_key_env": "gsk_" + "a1b2" * 8},
        {**LLM, "base_url": f"https://user:{SECRET}@models.example/v1"},
        {**LLM, "base_url": f"https://models.example/v1?key={SECRET}"},
        {**LLM, "api_key": SECRET},
        {"model": "m", "api_key": SECRET},
        {**LLM, "models": [{"api_key": SECRET}, {"model": "m", "api_key_env": SECRET}]},
        {"kind": "batch", "models": [{"model": "m", "base_url": f"https://{SECRET}@models.example"}] * 2},
    ],
)
def test_a_key_in_a_config_is_refused_and_not_repeated(proposer: dict[str, object]) -> None:
    """Wherever someone puts a key, it is neither accepted nor shown."""
    with pytest.raises(UsageError) as caught:
        parse_config({"run": RUN, "proposer": proposer}, "c.toml")
    assert SECRET not in str(caught.value)
    assert "a1b2" not in str(caught.value)


def models_of(config: Config) -> tuple[Model, ...]:
    """The models of a config's proposer."""
    assert isinstance(config.proposer, OpenAIProposer | BatchProposer)
    return config.proposer.models


def test_several_models_share_keys_and_override_them() -> None:
    """Keys beside `models` hold for all of them, unless a model has its own."""
    proposer = {
        **LLM,
        "temperature": 0.3,
        "max_tokens": 500,
        "base_url": "http://localhost:1/v1/",
        "models": [{"weight": 3}, {"model": "other", "temperature": 1.0, "input_price": 2}],
    }
    first, second = models_of(parse_config({"run": RUN, "proposer": proposer}, "c"))
    assert (first.model, first.temperature, first.max_tokens, first.weight) == ("m", 0.3, 500, 3)
    assert (second.model, second.temperature, second.max_tokens, second.weight) == ("other", 1.0, 500, 1)
    assert first.base_url == second.base_url == "http://localhost:1/v1"


@pytest.mark.parametrize(
    ("settings", "longest"),
    [
        ({}, 2048),
        ({"max_tokens": 10}, 10),
        ({"omit": ["max_tokens"], "extra_body": {"max_completion_tokens": 77}}, 77),
        ({"max_tokens": 10, "extra_body": {"max_completion_tokens": 77}}, 77),
        ({"max_tokens": 99, "extra_body": {"max_completion_tokens": 77}}, 99),
        ({"max_tokens": 10, "extra_body": {"max_tokens": 20}}, 20),
    ],
)
def test_the_longest_answer_is_bounded_by_all_that_is_sent(settings: dict[str, object], longest: int) -> None:
    """What is reserved for an answer is never below a limit that the endpoint may go by."""
    model = Model(model="m", **settings)  # type: ignore[arg-type]
    body = model.body("hi")
    assert model.longest_answer == longest
    assert longest == max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0))


def test_a_config_comes_back_from_its_record() -> None:
    """What is archived as JSON reads as the same config, whatever the proposer."""
    for proposer in (
        {"kind": "genetic"},
        {**LLM, "models": [{"weight": 2}, {"model": "b", "omit": ["temperature"]}], "cache": "c.db"},
        {"kind": "batch", "model": "m", "submit": True},
        {"kind": "replay", "run": "runs/x", "measurements": "again"},
    ):
        config = parse_config({"run": RUN, "proposer": proposer}, "c")
        assert Config.model_validate_json(config.model_dump_json()) == config
        assert parse_config(config.model_dump(mode="json"), "archive") == config


def test_set_is_blamed_for_what_it_breaks() -> None:
    """A refusal names the file alone if nothing was overridden, and `--set` beside it otherwise."""
    with pytest.raises(UsageError, match=r"^c\.toml: unknown key"):
        override({"run": {"x": 1}}, [], "c.toml")
    with pytest.raises(UsageError, match=r"^c\.toml with --set: unknown key 'budget\.tokns'; did you mean 'tokens'"):
        override({"run": dict(RUN)}, ["budget.tokns=3"], "c.toml")


TWO = {**LLM, "models": [{"weight": 2}, {"model": "b"}]}


@pytest.mark.parametrize(
    ("proposer", "settings", "said"),
    [
        (
            LLM,
            ["run.seed=3"],
            "--set run.seed=3: a run that has begun can change budget., proposer., evaluation.workers",
        ),
        (LLM, ["search.lookahead=3"], "can change"),
        (LLM, ["evaluation.cpu_scale=3"], "can change"),
        (LLM, ["proposer={kind='genetic'}"], "can change"),
        (LLM, ["budget.candidates"], "expected section.key=value"),
        (LLM, ["budget.tokns=3"], "--set: unknown key 'budget.tokns'; did you mean 'tokens'?"),
        (LLM, ["budget.tokens=0"], "--set: 'budget.tokens' = 0"),
        (LLM, ["proposer.temprature=1"], "unknown key 'proposer.temprature'; did you mean 'temperature'?"),
        (LLM, ["proposer.models.0.weight=2"], "'models' is a value"),
        (LLM, ["proposer.models=3"], "'proposer.models' = 3"),
        (LLM, ["proposer.kind=genetic"], "from openai to batch or back only"),
        (LLM, ["proposer.kind=nonsense"], "from openai to batch or back only"),
        (TWO, ["proposer.kind=batch"], "'proposer.models'"),
        ({"kind": "genetic"}, ["proposer.model=m"], "unknown key 'proposer.model'; known: kind"),
        ({"kind": "genetic"}, ["proposer.kind=openai", "proposer.model=m"], "from openai to batch"),
        (LLM, [f"proposer.api_key_env={SECRET}"], "never the key itself"),
        (LLM, ["budget.money=3"], "budget.money needs prices"),
    ],
)
def test_what_may_not_be_amended_is_refused(proposer: dict[str, object], settings: list[str], said: str) -> None:
    """What would make recorded candidates wrong, and what is wrong in itself: one sentence each."""
    config = parse_config({"run": RUN, "proposer": proposer}, "c")
    with pytest.raises(UsageError) as caught:
        amend(config, settings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_budget_proposer_and_workers_may_be_amended() -> None:
    """A key of the models holds for every one of them; everything else stays as it was."""
    config = parse_config({"run": RUN, "proposer": TWO, "budget": {"candidates": 5}}, "c")
    amended = amend(
        config,
        ["budget.tokens=900", "proposer.base_url=http://localhost:9/v1", "proposer.attempts=2", "evaluation.workers=1"],
    )
    assert (amended.budget.tokens, amended.budget.candidates, amended.evaluation.workers) == (900, 5, 1)
    assert [(m.model, m.weight, m.base_url) for m in models_of(amended)] == [
        ("m", 2, "http://localhost:9/v1"),
        ("b", 1, "http://localhost:9/v1"),
    ]
    assert (amended.run, amended.search) == (config.run, config.search)


def test_a_run_may_change_from_live_calls_to_files_and_back() -> None:
    """openai → batch leaves the keys that only openai has behind; the models stay."""
    config = parse_config({"run": RUN, "proposer": {**LLM, "attempts": 3}}, "c")
    batch = amend(config, ["proposer.kind=batch", "proposer.size=7"])
    assert isinstance(batch.proposer, BatchProposer)
    assert (batch.proposer.size, batch.proposer.models) == (7, models_of(config))
    assert models_of(amend(batch, ["proposer.kind=openai"])) == models_of(config)
    with pytest.raises(UsageError, match=r"unknown key 'proposer\.attempts'"):
        amend(batch, ["proposer.attempts=3"])
