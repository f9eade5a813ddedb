"""The proposer section of a config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from evaluators.workers import passed_on


class Section(BaseModel):
    """A section of a config: unknown keys are refused, values are never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Section):
    """One model behind one OpenAI-compatible endpoint, and how it is asked.

    The key is read from the environment variable `api_key_env`. `extra_body` is sent beside our own keys, `omit` names
    those of ours that are not sent. `weight`: how often it is drawn, relative to the others; `concurrency`: calls in
    flight at once; `timeout`: seconds one call may take in all. Prices are per million tokens, in whatever currency
    you like. `idempotent`: the endpoint honours the header Idempotency-Key, so that a call of unknown outcome may be
    sent again under its key and is paid once.
    """

    model: str = Field(min_length=1)
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    weight: float = Field(1.0, gt=0)
    temperature: float = Field(0.8, ge=0, le=2)
    max_tokens: int = Field(2048, ge=1)
    extra_body: dict[str, Any] = Field(default_factory=dict)
    omit: tuple[Literal["temperature", "max_tokens"], ...] = ()
    timeout: float = Field(300.0, gt=0)
    concurrency: int = Field(4, ge=1, le=1000)
    input_price: float = Field(0.0, ge=0)
    output_price: float = Field(0.0, ge=0)
    idempotent: bool = False

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("give a URL such as https://api.openai.com/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("a URL must not carry a key (it is archived): name an environment variable in api_key_env")
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_variable(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("give the NAME of an environment variable, never the key itself")
        if len(name) >= 20 and re.search("[0-9]", name) and re.search("[a-z]", name):
            raise ValueError("this looks like a key; give the NAME of an environment variable, never the key itself")
        if passed_on(name):
            raise ValueError("this variable is handed to worker processes; keep the key in another one")
        return name

    @field_validator("extra_body")
    @classmethod
    def _leaves_ours_alone(cls, body: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted({"model", "messages", "stream", "n"} & set(body)):
            raise ValueError(f"'{taken[0]}' is not for extra_body to set")
        return body

    def body(self, prompt: str) -> dict[str, Any]:
        """The request as the chat completions API wants it."""
        ours = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        kept = {name: value for name, value in ours.items() if name not in self.omit}
        return {"model": self.model, "messages": [{"role": "user", "content": prompt}], **kept, **self.extra_body}

    @property
    def longest_answer(self) -> int:
        """Tokens an answer may have: what is reserved for it."""
        return max(self._limits or [self.max_tokens])

    @property
    def answers_end(self) -> bool:
        """Whether an answer's length is limited by what is sent."""
        return bool(self._limits)

    @property
    def _limits(self) -> list[int]:
        body = self.body("")
        limits = [body.get(name) for name in ("max_completion_tokens", "max_tokens")]
        return [limit for limit in limits if isinstance(limit, int) and limit > 0]  # some take −1 for no limit

    def price(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6


class GeneticProposer(Section):
    """The offline proposer: typed genetic programming, no model."""

    kind: Literal["genetic"] = "genetic"


class ModelProposer(Section):
    """What all who ask models share.

    `edits`: whether an answer that changes a heuristic holds the whole file, or a `diff` to it. `thoughts`: answers
    begin with an idea in one sentence, which later prompts show beside the code. `weakness`: prompts say where a parent
    loses most. `reflection`: a crossover first says why the better parent is better, and is told who is ahead where.
    `lessons`: after so many candidates each a call of its own draws a lesson from them, for later prompts; 0: never.
    """

    models: tuple[Model, ...] = Field(min_length=1)
    edits: Literal["whole", "diff"] = "whole"
    thoughts: bool = True
    weakness: bool = True
    reflection: bool = True
    lessons: int = Field(50, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _shared_keys(cls, data: Any) -> Any:
        """Keys given beside `models` hold for all of them; with no `models`, they are the only one."""
        if not isinstance(data, dict):
            return data
        shared = {name: value for name, value in data.items() if name in Model.model_fields}
        others = {name: value for name, value in data.items() if name not in Model.model_fields}
        models = others.get("models", [{}])
        if isinstance(models, list) and all(isinstance(each, dict) for each in models):
            others["models"] = [{**shared, **each} for each in models]
        return others


class OpenAIProposer(ModelProposer):
    """Models behind OpenAI-compatible endpoints, asked live.

    Faults that pass are tried again, `attempts` times in all, after `backoff`, 2·`backoff`, 4·`backoff` … seconds with
    jitter, or after what the endpoint asks for. `cache`: an SQLite file in which answers are kept and identical
    requests are looked up, at no cost.
    """

    kind: Literal["openai"]
    attempts: int = Field(8, ge=1, le=100)
    backoff: float = Field(1.0, gt=0, le=3600)
    cache: Path | None = None


class BatchProposer(ModelProposer):
    """One model asked by files: OpenAI's Batch API format, answered later, by whomever.

    `size`: requests open at once. With `submit` the files are sent to the endpoint's Batch API, which is asked every
    `poll` seconds whether it is done.
    """

    kind: Literal["batch"]
    models: tuple[Model, ...] = Field(min_length=1, max_length=1)
    size: int = Field(32, ge=1, le=1000)
    submit: bool = False
    poll: float = Field(60.0, gt=0)


class ReplayProposer(Section):
    """The answers of a recorded run, and its measurements, unless they are to be made `again`."""

    kind: Literal["replay"]
    run: Path
    measurements: Literal["recorded", "again"] = "recorded"


Settings = Annotated[GeneticProposer | OpenAIProposer | BatchProposer | ReplayProposer, Field(discriminator="kind")]

KINDS: Mapping[str, type[Section]] = {
    "genetic": GeneticProposer,
    "openai": OpenAIProposer,
    "batch": BatchProposer,
    "replay": ReplayProposer,
}
