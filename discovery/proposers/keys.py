"""Keys of endpoints: read from environment variables, and kept out of everything that is shown or written."""

from __future__ import annotations

import os
import platform
from urllib.parse import urlsplit

from discovery.errors import UsageError
from discovery.proposers.settings import Model

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def key_of(model: Model) -> str:
    """The key in the model's environment variable; empty for an endpoint on this machine that needs none.

    Raises:
        UsageError: the variable is not set, and the endpoint is not on this machine; or it holds what is no key.
    """
    key = found_key(model)
    if not key and urlsplit(model.base_url).hostname not in LOOPBACK:
        raise UsageError(
            f"the key for {model.base_url} is missing: set the environment variable {model.api_key_env}"
            " (or name another one in proposer.api_key_env)"
        )
    return key


def found_key(model: Model) -> str:
    """What the model's environment variable holds, without white space around it; empty if it is not set.

    Raises:
        UsageError: it cannot be a key, as no header could hold it.
    """
    run_no_uname()
    key = os.environ.get(model.api_key_env, "").strip()
    if not all("!" <= sign <= "~" for sign in key):
        raise UsageError(f"the environment variable {model.api_key_env} holds no key: it has signs in it no key has")
    return key


def run_no_uname() -> None:
    """Keep `platform.platform()`, which the client calls too, from running the program `uname`.

    It asks it for the processor, and would hand it our environment with all keys; told an answer, it does not ask.
    """
    vars(platform.uname()).setdefault("processor", "")


def without_key(text: str, key: str) -> str:
    """The text with the key, should it hold it, blotted out."""
    return text.replace(key, "[key]") if len(key) > 3 else text
