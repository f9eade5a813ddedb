"""A server that is asked over HTTP: its model, what it understands, and whether it is well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine_bridge.replay.completions import DIALECTS, PATH, Dialect, Stream, message_in, request_body
from engine_bridge.replay.http import Address, HttpError, Unreachable, connect, fetch
from engine_bridge.replay.prompts import FIRST_TOKEN, words
from engine_bridge.replay.server import About, Array, Send, ServerError
from engine_bridge.replay.server_metrics import Scrape, parse

ANSWER_SECONDS = 30.0
"""Within which a server must answer questions about itself."""
PROBE_SECONDS = 300.0
"""Within which it must serve a request of a few tokens, with which some compile their kernels."""
_PROBE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a server is spoken to.

    text: prompts are words instead of token ids, for servers that take no ids. key: sent as a bearer token, if not
    empty. stall: as `About` has it.
    """

    text: bool = False
    key: str = field(default="", repr=False)
    stall: float = 300.0

    @property
    def headers(self) -> Mapping[str, str]:
        """Sent with every request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def prompt(self, ids: Array) -> str | list[int]:
        """Token ids as they are sent."""
        return words(ids) if self.text else ids.tolist()


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A server as it presents itself."""

    address: Address
    access: Access
    dialect: Dialect
    about: About

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

    async def prepare(self, prompt: Array, output: int, hints: Mapping[str, float], stream: Stream) -> Send:
        """An open connection and a body: sending is all that is left.

        Raises:
            HttpError: there is no connection; sending raises it where no proper reply comes.
        """
        access = self.access
        body = request_body(self.about.model, access.prompt(prompt), output, self.dialect, hints)
        connection = await connect(self.address, stream.take)

        async def send() -> str:
            connection.send("POST", PATH, body, access.headers)
            return _complaint(await connection.reply(), stream)

        return send


async def survey(address: Address, access: Access, model: str | None = None) -> HttpServer:
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
    about = About(
        engine=await _version(address, access), where=f"at {address}", model=chosen, longest=models.get(chosen),
        lengths=dialect.described, stall=access.stall,
    )  # fmt: skip
    return HttpServer(address, access, dialect, about)


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
        said = said or _complaint(status, stream) or "an answer without tokens"
        if status not in (200, 400, 422):
            break
    hint = "" if access.text else ", or try --prompts text if it takes no token ids"
    raise ServerError(f"{address} does not stream completions ({said}); correct --url or --model{hint}")


def _complaint(status: int, stream: Stream) -> str:
    """What is wrong with a reply; empty if nothing is."""
    return stream.error if status == 200 else f"HTTP {status}: {stream.error or message_in(stream.text)}"


async def _ask(address: Address, access: Access, body: bytes) -> tuple[int, Stream]:
    """Status and reply of one request to complete.

    Raises:
        HttpError: there is no proper reply in time.
    """
    stream = Stream()
    connection = await connect(address, stream.take)
    connection.send("POST", PATH, body, access.headers)
    return await connection.reply(PROBE_SECONDS), stream
