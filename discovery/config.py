"""The config of a run: TOML, validated, unknown keys refused with the nearest known one."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from discovery.engine_settings import Engine
from discovery.errors import UsageError
from discovery.proposers.settings import KINDS, GeneticProposer, Model, Section, Settings

AMENDABLE = ("budget.", "proposer.", "evaluation.workers", "evaluation.finalists", "evaluation.engine", "engine.")
"""What `discover resume --set` may change."""


class Run(Section):
    """What is run. `name`: its folder below `folder`; by default the config's name with the time.

    `champions`: the accepted winners of earlier runs are baselines, and every island starts from them too.
    """

    problem: str
    seed: int = Field(0, ge=0)
    champions: bool = False
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    folder: Path = Path("runs")


class Search(Section):
    """How the population is laid out and how far the loop looks ahead.

    `lookahead`: candidates developed at once; the proposer's own choice if it is not given. `operators`: weights by
    name. `seeds`: the baselines every island starts from (default: the problem's). `cells`: how often a parent is drawn
    from the grid of cells and not from the island. `bandit`: operators and models are drawn more often that bring more
    for what they cost. `same_code`: what is written as an earlier candidate is, but for its style, is not evaluated.
    """

    islands: int = Field(2, ge=1, le=1000)
    island_size: int = Field(12, ge=1)
    tournament: int = Field(3, ge=1)
    migration_every: int = Field(100, ge=1)
    lookahead: int | None = Field(None, ge=1, le=4000)
    operators: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    seeds: tuple[str, ...] | None = None
    cells: float = Field(0.2, ge=0, le=1)
    bandit: bool = True
    same_code: bool = True


class Evaluation(Section):
    """How candidates are evaluated.

    `min_isolation`: the run refuses to start in a weaker tier. `fresh_process`: one for every instance, not one for
    all of a candidate's. `promote`: how many of the best on train are kept validated;
    `finalists`: how many of the best on validation are evaluated on test. `engine`: the last stage, on which the best
    on validation serve real requests, as the section `engine` says; none by default.
    """

    workers: int = Field(default_factory=lambda: min(os.cpu_count() or 1, 8), ge=1, le=256)
    cpu_scale: float = Field(1.0, gt=0, le=1000)
    memory_mb: int = Field(512, ge=64, le=1_000_000)
    min_isolation: Literal["rlimits-only", "no-namespaces", "full"] = "rlimits-only"
    fresh_process: bool = False
    promote: int = Field(10, ge=1)
    finalists: int = Field(5, ge=1)
    engine: Literal["torch"] | None = None


class Budget(Section):
    """When the run ends, whichever comes first: `tokens` in and out, `money` in the currency of the prices."""

    candidates: int = Field(1000, ge=1)
    calls: int | None = Field(None, ge=1)
    tokens: int | None = Field(None, ge=1)
    money: float | None = Field(None, gt=0)
    minutes: float | None = Field(None, gt=0)


class Config(Section):
    """A whole config file."""

    run: Run
    proposer: Settings = GeneticProposer()
    search: Search = Search()
    evaluation: Evaluation = Field(default_factory=Evaluation)
    budget: Budget = Budget()
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _money_needs_prices(self) -> Config:
        models = getattr(self.proposer, "models", ())
        if self.budget.money is not None and not any(model.input_price or model.output_price for model in models):
            raise ValueError("budget.money needs prices: set proposer.input_price and proposer.output_price")
        return self

    @model_validator(mode="after")
    def _spending_needs_limits(self) -> Config:
        models = getattr(self.proposer, "models", ())
        limited = self.budget.tokens is not None or self.budget.money is not None
        if limited and not all(model.answers_end for model in models):
            raise ValueError(
                "budget.tokens and budget.money need answers that end: keep proposer.max_tokens, or set"
                " max_completion_tokens in proposer.extra_body"
            )
        return self


def load_config(name: str, overrides: Sequence[str] = ()) -> tuple[Config, str]:
    """The config in the file `name` (or the one shipped under that name), and the name's stem.

    `overrides` are `section.key=value` with TOML values; a bare word counts as a string.

    Raises:
        UsageError: the file is missing or no TOML, or a key or value is refused; the message names it.
    """
    path = Path(name)
    if not path.is_file():
        shipped = _shipped(path.stem) if path.parent == Path() else None
        if shipped is None or path.suffix not in ("", ".toml"):
            what = "is a folder, not a config file" if path.is_dir() else "is no config file"
            raise UsageError(f"'{name}' {what}; shipped ones: {', '.join(_shipped_names())}")
        path = shipped
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return override(data, overrides, str(path)), path.stem


def override(data: dict[str, Any], overrides: Sequence[str], origin: str) -> Config:
    """The config given as nested dictionaries, with some keys overridden; `origin` is what messages call it."""
    for each in overrides:
        _apply(data, each)
    return parse_config(data, f"{origin} with --set" if overrides else origin)


def amend(config: Config, overrides: Sequence[str]) -> Config:
    """A run's config with changes that leave what is recorded valid: of its budget, proposer, workers and finalists.

    Raises:
        UsageError: a key is not one of those, or is refused.
    """
    data = config.model_dump(mode="json")
    for each in overrides:
        if not each.strip().startswith(AMENDABLE):
            raise UsageError(f"--set {each}: a run that has begun can change {', '.join(AMENDABLE)} only")
        _apply(data, each)
    data["proposer"] = _for_all_models(_as_kind(config.proposer, data["proposer"]))
    return parse_config(data, "--set")


def parse_config(data: dict[str, Any], origin: str) -> Config:
    """Validate a config given as nested dictionaries; `origin` is what messages call it."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        proposer = data.get("proposer")
        several = isinstance(proposer, dict) and "models" in proposer
        raise UsageError(f"{origin}: {_explain(error, several=several)}") from None


def _as_kind(before: Settings, proposer: dict[str, Any]) -> dict[str, Any]:
    """The proposer's section without what only the former kind had, if its kind was changed."""
    kind = proposer["kind"]
    if kind == before.kind:
        return proposer
    if {kind, before.kind} != {"openai", "batch"}:  # others know other operators
        raise UsageError(
            f"--set proposer.kind={kind}: a run that has begun can change from openai to batch or back only"
        )
    foreign = set(type(before).model_fields) - set(KINDS[kind].model_fields)
    return {name: value for name, value in proposer.items() if name not in foreign}


def _for_all_models(proposer: dict[str, Any]) -> dict[str, Any]:
    """The proposer's section with keys beside `models` set in each of them, whatever they had."""
    models = proposer.get("models")
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        return proposer
    ours = {name: value for name, value in proposer.items() if name in Model.model_fields}
    others = {name: value for name, value in proposer.items() if name not in Model.model_fields}
    return {**others, "models": [{**model, **ours} for model in models]}


def _shipped_names() -> list[str]:
    return sorted({path.stem for folder in _shipped_folders() for path in folder.glob("*.toml")})


def _shipped_folders() -> list[Path]:
    """Where shipped configs are: in the wheel, or in the checkout the package is installed from."""
    package = Path(str(files("discovery")))
    return [package / "configs", package.parent / "runs" / "configs"]


def _shipped(stem: str) -> Path | None:
    paths = (folder / f"{stem}.toml" for folder in _shipped_folders())
    return next((path for path in paths if path.is_file()), None)


def _apply(data: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)+", key.strip()):
        raise UsageError(f"--set {setting}: expected section.key=value, e.g. --set budget.candidates=200")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *sections, last = key.strip().split(".")
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise UsageError(f"--set {setting}: '{section}' is a value, not a section")
    data[last] = value


def _explain(error: ValidationError, *, several: bool) -> str:
    """The first complaint, with the field's full name and, for an unknown key, the nearest known one."""
    complaints = error.errors()
    complaint = next((each for each in complaints if each["type"] == "extra_forbidden"), complaints[0])
    location = list(complaint["loc"])
    if location[:1] == ["proposer"]:
        del location[1:2]  # the kind
    if location[:3] == ["proposer", "models", 0] and not several:
        location[1:3] = []  # the only model's keys stand in the section itself
    field = ".".join(str(part) for part in location)
    if complaint["type"] == "extra_forbidden":
        known = _known_keys(complaint["loc"][:-1])
        nearest = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}"
        return f"unknown key '{field}'; {hint}"
    if complaint["type"] == "missing":
        return f"key '{field}' is missing"
    if complaint["type"].startswith("union_tag"):
        given = f" '{complaint['ctx']['tag']}'" if "tag" in complaint.get("ctx", ()) else ""
        return f"'proposer.kind'{given} must be one of {', '.join(KINDS)}"
    message = complaint["msg"].removeprefix("Value error, ")
    value = complaint.get("input")
    shown = isinstance(value, str | int | float) and not {"api_key_env", "base_url"} & set(location)  # it may be a key
    return f"'{field}'{f' = {value!r}' if shown else ''}: {message}" if field else message


def _known_keys(location: Sequence[int | str]) -> list[str]:
    """The keys of the section at `location`; those of a model may stand in the proposer's section too."""
    if location[:1] == ("proposer",):
        kind = KINDS[str(location[1])]
        shared = list(Model.model_fields) if "models" in kind.model_fields else []
        return list(Model.model_fields) if "models" in location else [*kind.model_fields, *shared]
    model: type[BaseModel] = Config
    for part in location:
        if part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
            assert isinstance(annotation, type)
            model = annotation
    return list(model.model_fields)
