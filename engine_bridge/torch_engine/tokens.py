"""The tokens of all requests: prompts made up from what a workload says of them, answers as they are generated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.workload import Workload

Array = NDArray[Any]


class Tokens:
    """Token ids of a workload's requests, prompts and places for the outputs, one request after the other.

    Traces tell lengths and shared blocks, no texts. So token ids are drawn by a hash: of the block's id and the place
    in it where prefix blocks are given, so that equal blocks hold equal tokens; of the request's number and the place
    elsewhere. `ids` is int32 of shape (all tokens,); those of request i start at `starts[i]`.
    """

    def __init__(self, workload: Workload, vocab: int) -> None:
        self._lengths, self._outputs = workload.prompt + workload.output, workload.output
        self.starts = np.concatenate([[0], np.cumsum(self._lengths)[:-1]])
        self.ids = np.zeros(int(self._lengths.sum()), dtype=np.int32)
        for request, (start, prompt) in enumerate(zip(self.starts.tolist(), workload.prompt.tolist(), strict=True)):
            codes = _codes(workload, request, prompt)
            self.ids[start : start + prompt] = codes % np.uint64(vocab)

    def outputs(self, request: int) -> Array:
        """The tokens that a request has generated, zeros for those to come."""
        end = self.starts[request] + self._lengths[request]
        return np.asarray(self.ids[end - self._outputs[request] : end])


def _codes(workload: Workload, request: int, prompt: int) -> Array:
    """A 64-bit number for each prompt token."""
    places = np.arange(prompt, dtype=np.uint64)
    codes = _mix(_mix(np.array([~request], dtype=np.int64).view(np.uint64)) + places)
    blocks, size = workload.blocks(request), workload.hash_block
    shared = min(len(blocks) * size, prompt)
    if shared:
        of_blocks = np.repeat(_mix(blocks.view(np.uint64)), size)[:shared]
        codes[:shared] = _mix(of_blocks + places[:shared] % np.uint64(size))
    return codes


def _mix(values: Array) -> Array:
    """Well mixed bits, uint64 → uint64 (SplitMix64: Steele et al., Fast Splittable PRNGs, OOPSLA 2014)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
