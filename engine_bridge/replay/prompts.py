"""Prompts of wanted lengths that share what the workload says they share, as token ids or as words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.workload import Workload

Array = NDArray[Any]

FIRST_TOKEN, LAST_TOKEN = 300, 999
"""Token ids drawn: beyond bytes and special tokens, and in every vocabulary of a thousand tokens or more."""
WORDS = """
time year people way day man thing woman life child world school state family student group country problem hand part
place case week company system program question work government number night point home water room mother area money
story fact month lot right study book eye job word business issue side kind head house service friend father power
hour game line end member law car city
""".split()  # noqa: SIM905  as a list it would fill a screen
"""Words that are one token each, with the space before them, in most vocabularies for English."""


def token_ids(workload: Workload, request: int, salt: int) -> Array:
    """The prompt of a request: the tokens of its prefix blocks, then tokens of its own; int64, shape (prompt,).

    Equal block ids give equal tokens, within one `salt`: with another one nothing is found in a server's prefix cache
    that an earlier replay left there.
    """
    length = int(workload.prompt[request])
    parts = [_draw(salt, 1, int(block), workload.hash_block) for block in workload.blocks(request)]
    shared = np.concatenate(parts)[:length] if parts else np.zeros(0, dtype=np.int64)
    return np.concatenate([shared, _draw(salt, 2, request, length - len(shared))])


def words(ids: Array) -> str:
    """A text of about as many tokens as `ids`, one word each; equal ids give equal words."""
    return " ".join(WORDS[number % len(WORDS)] for number in ids.tolist())


def _draw(salt: int, kind: int, number: int, count: int) -> Array:
    return np.random.default_rng((salt, kind, number)).integers(FIRST_TOKEN, LAST_TOKEN + 1, count)
