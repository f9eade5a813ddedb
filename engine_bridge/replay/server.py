"""The server that a workload is replayed against: its model, what it understands, and whether it is well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine_bridge.replay.completions import DIALECTS, PATH, Dialect, Stream, message_in, request_body
from engine_bridge.replay.http import Address, HttpError, Unreachable, connect, fetch
from engine_bridge.replay.prompts import FIRST_TOKEN, words
from engine_bridge.replay.server_metrics import Scrape, parse
from engine_bridge.workload import Workload

ANSWER_SECONDS = 30.0
"""Within which a server must answer questions about itself."""
PROBE_SECONDS = 300.0
"""Within which it must serve a request of a few tokens, with which some compile their kernels."""
_PROBE = 8


class ServerError(RuntimeError):
    """A server cannot be used, or is no more; one sentence with the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a server is spoken to.

    text: prompts are words instead of token ids, for servers that take no ids. key: sent as a bearer token, if not
    empty. stall: seconds without a token from any request, while some are open, after which it counts as stuck.
    """

    text: bool = False
    key: str = field(default="", repr=False)
    stall: float = 300.0

    @property
    def headers(self) -> Mapping[str, str]:
        """Sent with every request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def prompt(self, ids: Any) -> str | list[int]:
        """Token ids (an array) as they are sent."""
        return words(ids) if self.text else ids.tolist()


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it presents itself.

    engine: name and version, as far as it says. longest: tokens of a sequence at most; None if it does not say.
    """

    address: Address
    access: Access
    model: str
    engine: str
    longest: int | None
    dialect: Dialect

    async def check_health(self) -> None:
        """See that it is well; a server that has no health to ask about is.

        Raises:
            ServerError: it says that it is not, or nothing.
        """
        try:
            status, _ = await fetch(self.address, "/health", seconds=ANSWER_SECONDS, headers=self.access.headers)
        except HttpError as error:
            raise ServerError(f"the server at {self.address} is gone ({error}); look at its log") from None
        if status >= 500:
            raise ServerError(f"the server at {self.address} says that it is ill (HTTP {status}); look at its log")

    async def scrape(self) -> Scrape:
        """Its metrics; empty if it has none."""
        try:
            status, text = await fetch(self.address, "/metrics", seconds=ANSWER_SECONDS, headers=self.access.headers)
        except HttpError:
            return Scrape()
        return parse(text.decode(errors="replace")) if status == 200 else Scrape()

    def check_fit(self, workload: Workload) -> None:
        """Refuse requests that are longer than its longest sequence.

        Raises:
            ServerError: there is one.
        """
        total = workload.prompt + workload.output
        if self.longest is not None and (total > self.longest).any():
            request = int(np.argmax(total))
            raise ServerError(
                f"request {request} of {workload.name} has {workload.prompt[request]} + {workload.output[request]}"
                f" tokens, more than the {self.longest} that {self.address} takes (max_model_len); cut them by"
                " --max-prompt and --max-output, or serve with a longer one"
            )

    async def complete(self, prompt: str | list[int], output: int, hints: Mapping[str, float]) -> Stream:
        """Serve one request that is not measured.

        Raises:
            HttpError: there is no proper reply.
        """
        body = request_body(self.model, prompt, output, self.dialect, hints)
        return (await _ask(self.address, self.access, body))[1]


async def survey(address: Address, access: Access, model: str | None = None) -> Server:
    """Ask a server which model it serves and what it understands, by requests of a few tokens.

    Raises:
        ServerError: it is not there, serves no such model, or cannot stream completions.
    """
    models = await _models(address, access)
    chosen = model or next(iter(models), None)
    if chosen is None:
        raise ServerError(
            f"{address} lists no model at /v1/models, so it may be no OpenAI-compatible server; correct --url, or name"
            " the model by --model"
        )
    if models and chosen not in models:
        raise ServerError(f"{address} serves no model '{chosen}'; choose by --model from {', '.join(models)}")
    dialect = await _dialect(address, access, chosen)
    return Server(address, access, chosen, await _version(address, access), models.get(chosen), dialect)


async def _models(address: Address, access: Access) -> dict[str, int | None]:
    """Each model with its longest sequence; empty if the server lists none."""
    try:
        status, text = await fetch(address, "/v1/models", seconds=ANSWER_SECONDS, headers=access.headers)
    except Unreachable as error:
        raise ServerError(f"no server at {address} ({error}); start it first, or correct --url") from None
    except HttpError as error:
        raise ServerError(f"what listens at {address} is no HTTP server ({error}); correct --url") from None
    if status in (401, 403):
        raise ServerError(f"{address} wants a key (HTTP {status}); name its environment variable by --api-key-env")
    if status >= 500:
        raise ServerError(f"{address} is not ready (HTTP {status}: {message_in(text)}); wait until it serves")
    try:
        listed = json.loads(text)["data"] if status == 200 else []
        return {each["id"]: each.get("max_model_len") for each in listed}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


async def _version(address: Address, access: Access) -> str:
    """vLLM says so; others do not."""
    try:
        status, text = await fetch(address, "/version", seconds=ANSWER_SECONDS, headers=access.headers)
        version = json.loads(text)["version"] if status == 200 else None
    except (HttpError, ValueError, TypeError, KeyError):
        version = None
    return f"vLLM {version}" if isinstance(version, str) else "a server that does not name itself"


async def _dialect(address: Address, access: Access, model: str) -> Dialect:
    """The richest dialect that the server takes."""
    said = ""
    prompt = access.prompt(np.arange(FIRST_TOKEN, FIRST_TOKEN + _PROBE))
    for dialect in DIALECTS:
        body = request_body(model, prompt, 2, dialect, {"predicted": 2})
        try:
            status, stream = await _ask(address, access, body)
        except HttpError as error:
            raise ServerError(
                f"{address} does not complete a prompt of {_PROBE} tokens ({error}); see its log"
            ) from None
        if status == 200 and stream.times:
            return dialect
        said = said or f"HTTP {status}: {stream.error or message_in(stream.text)}"
        if status not in (200, 400, 422):
            break
    hint = "" if access.text else ", or try --prompts text if it takes no token ids"
    raise ServerError(f"{address} does not stream completions ({said}); correct --url or --model{hint}")


async def _ask(address: Address, access: Access, body: bytes) -> tuple[int, Stream]:
    """Status and reply of one request to complete.

    Raises:
        HttpError: there is no proper reply in time.
    """
    stream = Stream()
    connection = await connect(address, stream.take)
    connection.send("POST", PATH, body, access.headers)
    return await connection.reply(PROBE_SECONDS), stream
