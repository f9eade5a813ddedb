"""The proposer that asks a language model behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletion

import prompts.render
from discovery.config import OpenAIProposer
from discovery.errors import UsageError
from discovery.proposers.base import Answer, ProposerError, Request

ATTEMPTS = 5
LONGEST_WAIT = 60.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CODE_BLOCK = re.compile(r"^[ \t]*```[ \t]*(?:python3?|py)?[ \t]*\r?\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE | re.I)


class OpenAI:
    """One model behind one endpoint."""

    needs_prompt = True

    def __init__(self, config: OpenAIProposer) -> None:
        """Read the key from its environment variable.

        Raises:
            UsageError: the variable is not set, and the endpoint is not on this machine.
        """
        self.operators = prompts.render.operators()
        self._config = config
        self._key = os.environ.get(config.api_key_env, "")
        if not self._key and urlsplit(config.base_url).hostname not in LOOPBACK:
            raise UsageError(
                f"the key for {config.base_url} is missing: set the environment variable {config.api_key_env}"
                " (or name another one in proposer.api_key_env)"
            )
        self._client = openai.AsyncOpenAI(
            base_url=config.base_url, api_key=self._key or "none", timeout=config.timeout, max_retries=0
        )

    async def propose(self, request: Request) -> Answer:
        """Ask the model; passing faults are tried again with growing pauses.

        Raises:
            ProposerError: the endpoint refuses, or a fault does not pass.
        """
        for attempt in range(ATTEMPTS):
            try:
                return await self._call(request)
            except openai.APIStatusError as error:
                if error.status_code not in (408, 409, 429) and error.status_code < 500:
                    raise self._refused(error) from None
                fault, wait = f"HTTP {error.status_code}", error.response.headers.get("retry-after", "")
            except openai.APIConnectionError as error:  # a time-out is one too
                fault, wait = str(error.__cause__ or error), ""
            except (_Unusable, ValueError) as error:  # ValueError: JSON cut short
                fault, wait = str(error), ""
            if attempt < ATTEMPTS - 1:
                await asyncio.sleep(_pause(attempt, wait))
        raise ProposerError(
            f"no answer from {self._config.base_url} after {ATTEMPTS} attempts ({self._clean(fault)});"
            " see that the endpoint is up, then `discover resume`"
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _call(self, request: Request) -> Answer:
        started = time.monotonic()
        reply = await self._client.chat.completions.create(
            model=self._config.model,
            messages=[{"role": "user", "content": request.prompt}],
            temperature=self._config.temperature,
            max_tokens=self._config.max_tokens,
        )
        # An endpoint may answer 200 with a web page (the client then returns a str) or with empty JSON.
        if not isinstance(reply, ChatCompletion) or not reply.choices:
            raise _Unusable("the answer is no chat completion")
        text = reply.choices[0].message.content or ""
        return Answer(
            text=text,
            source=last_code_block(text),
            model=self._config.model,
            input_tokens=reply.usage.prompt_tokens if reply.usage else 0,
            output_tokens=reply.usage.completion_tokens if reply.usage else 0,
            seconds=time.monotonic() - started,
        )

    def _refused(self, error: openai.APIStatusError) -> ProposerError:
        remedy = {
            401: f"check the key in the environment variable {self._config.api_key_env}",
            403: f"check what the key in {self._config.api_key_env} may use",
            404: "check proposer.model and proposer.base_url",
        }.get(error.status_code, "check the proposer section of the config")
        return ProposerError(
            f"{self._config.base_url} refused the model '{self._config.model}' with HTTP {error.status_code}"
            f" ({self._clean(str(error.message))}); {remedy}, then `discover resume`"
        )

    def _clean(self, text: str) -> str:
        """One short line without the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        return " ".join(text.split())[:200]


class _Unusable(Exception):
    """The endpoint answered with something that is no answer."""


def last_code_block(text: str) -> str | None:
    """The last fenced Python (or unlabelled) block of an answer; None if there is none."""
    blocks = CODE_BLOCK.findall(text)
    return blocks[-1] if blocks else None


def _pause(attempt: int, retry_after: str) -> float:
    """Seconds to wait: what the endpoint asks for, else 1, 2, 4 … with jitter; never more than a minute."""
    try:
        wanted = float(retry_after)
    except ValueError:
        wanted = 2.0**attempt * random.uniform(0.5, 1.5)
    return min(max(wanted, 0.0), LONGEST_WAIT)


def probe(config: OpenAIProposer) -> str:
    """One line on whether the endpoint answers and knows the model; sends no prompt, costs nothing."""
    key = os.environ.get(config.api_key_env, "")
    client = openai.OpenAI(base_url=config.base_url, api_key=key or "none", timeout=10, max_retries=0)
    state = "set" if key else "not set"
    try:
        models = [model.id for model in client.models.list()]
    except openai.APIStatusError as error:
        return f"{config.base_url} answers HTTP {error.status_code} ({config.api_key_env} is {state})"
    except openai.APIConnectionError:
        return f"{config.base_url} cannot be reached; start it or correct proposer.base_url"
    known = "is there" if config.model in models else f"is not among its models ({', '.join(models[:5])})"
    return f"{config.base_url} answers, model '{config.model}' {known} ({config.api_key_env} is {state})"
