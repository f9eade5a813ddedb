"""One model behind one endpoint: a single call, and what became of it."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime

import httpx2
import openai

from discovery.proposers.base import NOTHING, Answer, Call, Charge, Ledger, Outcome, ProposerError, Request
from discovery.proposers.completion import Completion, Unusable, credible, most_of
from discovery.proposers.keys import found_key, key_of, without_key
from discovery.proposers.settings import Model

CONNECT = 15.0
"""Seconds after which an endpoint that takes no connection is unreachable; after those of a whole call, it is lost."""
LONGEST_PAUSE = 60.0
"""Of our own back-off, in seconds; what an endpoint asks for is granted in full, up to `PATIENCE`."""
PATIENCE = 600.0
LARGEST_REPLY = 64 << 20
PASSING = (408, 409, 425, 429)
"""Statuses below 500 that are worth another attempt."""


class Refused(ProposerError):
    """The endpoint will not answer, however often it is asked."""


class Fault(Exception):
    """A call that failed, and may do better; `wait`: seconds the endpoint asks us to wait, if it does."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Endpoint:
    """One model of a config, with its key, its connections, its slots, and its own pauses."""

    def __init__(self, model: Model, function: str) -> None:
        """Read the key from its environment variable; `function` is what answers must define.

        Raises:
            UsageError: the variable is not set, and the endpoint is not on this machine; or it holds what is no key.
        """
        self.model = model
        self._function = function
        self._key = key_of(model)
        self._client = openai.AsyncOpenAI(
            base_url=model.base_url,
            api_key=self._key or "none",
            timeout=openai.Timeout(model.timeout, connect=min(CONNECT, model.timeout / 2)),
            max_retries=0,  # trying again is our own business: each attempt is reserved and written down
        )
        self._slots = asyncio.Semaphore(model.concurrency)
        self._not_before = 0.0
        self._out: tuple[float, ProposerError] | None = None

    def __str__(self) -> str:
        return f"model '{self.model.model}' at {self.model.base_url}"

    async def ask(self, request: Request, ledger: Ledger) -> Answer:
        """One call.

        Raises:
            Refused: the endpoint refuses for good.
            Fault: the call failed, and another may do better.
            ProposerError: what it was given up for.
        """
        self._check_not_given_up()
        async with ledger.reserved(most_of(self.model, request.prompt)) as reservation, self._slots:
            while (wait := self._not_before - time.monotonic()) > 0:
                await ledger.pause(wait)
            self._check_not_given_up()  # by another call, while this one waited
            place = f"{self.model.model} at {self.model.base_url}"
            call = ledger.begin(reservation, request.number, place, idempotent=self.model.idempotent)
            started = time.monotonic()
            try:
                completion = await self._call(request.prompt, call)
            except _Failed as failed:
                seconds = time.monotonic() - started
                ledger.settle(call, failed.outcome, failed.charge, self.clean(str(failed.error)), seconds)
                raise failed.error from None
            seconds = time.monotonic() - started
            return completion.answer(
                self.model, self._function, call.most, base=request.base, call=call, seconds=seconds
            )

    def rest(self, attempt: int, backoff: float, wanted: float | None) -> None:
        """Leave the endpoint alone for what it asks for, else for `backoff`·2^attempt seconds with jitter."""
        pause = min(backoff * 2.0**attempt * random.uniform(0.5, 1.5), LONGEST_PAUSE) if wanted is None else wanted
        self._not_before = max(self._not_before, time.monotonic() + pause)

    def give_up(self, seconds: float, reason: ProposerError) -> None:
        """Make no call for so long; who asks is told the reason."""
        self._out = (time.monotonic() + seconds, reason)

    def _check_not_given_up(self) -> None:
        if self._out and time.monotonic() < self._out[0]:
            raise self._out[1]

    def clean(self, text: str) -> str:
        """One short line without the key."""
        return " ".join(self._without_key(text).split())[:300]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _call(self, prompt: str, call: Call) -> Completion:
        try:
            async with asyncio.timeout(self.model.timeout):  # in all: a slow drip never trips a limit on silence
                completion = Completion.parse(self._without_key(await self._reply(prompt, call)))
                return replace(completion, text=self._without_key(completion.text))  # JSON may write it otherwise
        except TimeoutError:
            raise self._lost(call, f"no answer within {self.model.timeout:g} s") from None
        except openai.APIStatusError as error:
            raise self._failed_with(error) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
                raise _Failed("unreachable", NOTHING, Fault(f"cannot connect ({_said(cause)})")) from None
            raise self._lost(call, f"the connection broke ({_said(cause)})") from None
        except Unusable as error:
            usage = credible(error.usage, call.most)
            charge = call.most if usage is None else Charge(sum(usage), self.model.price(*usage))
            raise _Failed("unusable", charge, Fault(str(error))) from None

    async def _reply(self, prompt: str, call: Call) -> str:
        """The body of a reply with a good status."""
        chunks, size = [], 0
        body = self.model.body(prompt)
        async with self._client.chat.completions.with_streaming_response.create(
            model=body.pop("model"),
            messages=body.pop("messages"),
            extra_body=body,
            extra_headers={"Idempotency-Key": call.key},
        ) as response:
            async for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_REPLY:
                    raise Unusable(f"a reply of more than {LARGEST_REPLY >> 20} MB")
        return b"".join(chunks).decode(errors="replace")

    def _lost(self, call: Call, message: str) -> _Failed:
        return _Failed("lost", call.most, Fault(message))

    def _failed_with(self, error: openai.APIStatusError) -> _Failed:
        status, said = error.status_code, self.clean(_message(error))
        if (status in PASSING or status >= 500) and error.code != "insufficient_quota":
            wait = retry_after(error.response.headers)
            if wait is None or wait <= PATIENCE:
                return _Failed("rejected", NOTHING, Fault(f"HTTP {status}: {said}", wait))
            said = f"asks us to come back in {wait:.0f} s; {said}"
        remedy = {
            401: f"check the key in the environment variable {self.model.api_key_env}",
            403: f"check what the key in {self.model.api_key_env} may use",
            404: "check the model's name and base_url",
            429: "wait, or see to the account",
        }.get(status, "check the proposer section of the config")
        return _Failed("rejected", NOTHING, Refused(f"{self} refused with HTTP {status} ({said}); {remedy}"))

    def _without_key(self, text: str) -> str:
        return without_key(text, self._key)


class _Failed(Exception):
    """A call that brought no answer: how it ended, what is owed for it, and what to tell the caller."""

    def __init__(self, outcome: Outcome, charge: Charge, error: Fault | Refused) -> None:
        super().__init__(str(error))
        self.outcome = outcome
        self.charge = charge
        self.error = error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the endpoint asks us to wait: a number, or a date taken against the endpoint's own clock."""
    text = headers.get("retry-after", "")
    with suppress(ValueError):
        return max(seconds, 0.0) if math.isfinite(seconds := float(text)) else None
    with suppress(ValueError, TypeError, OverflowError):
        return max((parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))).total_seconds(), 0.0)
    return None


def _message(error: openai.APIStatusError) -> str:
    """What the endpoint says is wrong, without the client's own words where it can be told."""
    match error.body:
        case {"message": str(text)}:
            return text
    return error.message


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def probe(model: Model) -> str:
    """One line on whether the endpoint answers and knows the model; sends no prompt, costs nothing."""
    key = found_key(model)
    client = openai.OpenAI(base_url=model.base_url, api_key=key or "none", timeout=10, max_retries=0)
    state = "set" if key else "not set"
    try:
        models = [each.id for each in client.models.list()]
    except openai.APIStatusError as error:
        return f"{model.base_url} answers HTTP {error.status_code} ({model.api_key_env} is {state})"
    except openai.APIConnectionError:
        return f"{model.base_url} cannot be reached; start it or correct proposer.base_url"
    known = "is there" if model.model in models else f"is not among its models ({', '.join(models[:5])})"
    return f"{model.base_url} answers, model '{model.model}' {known} ({model.api_key_env} is {state})"
