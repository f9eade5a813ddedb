"""Reads vLLM's own request log as a workload: what a server was asked, when, and how much it answered.

    VLLM_LOGGING_LEVEL=DEBUG vllm serve MODEL --enable-log-requests --enable-log-outputs > vllm.log 2>&1

Of each request the lines tell the time (whole seconds, without a year), the token ids of its prompt, and those of its
output. From the ids only lengths and shared prefixes are kept: equal starts of `HASH_BLOCK` tokens get equal block ids.
Requests that came within one second are spread over it evenly, in their order. A request whose output was not logged
(vLLM logs those of chats and responses, not of plain completions) counts with its `max_tokens` if it ignored the end of
text, and is left out otherwise. Streamed tokens without text of their own are not logged: outputs are a little short.
`--max-log-len` would cut the ids, and so the lengths: leave it out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from engine_bridge.workload import Workload, WorkloadError

HASH_BLOCK = 16
"""Tokens per prefix block: vLLM's usual size of a KV block."""

_STAMP = re.compile(r"(?:\(.{1,60}?\) )?(?:DEBUG|INFO) (\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(\.\d+)? \[")
_PROMPT = re.compile(
    r"\] (?:Request|Received request) (\S+?):? (?:details: )?prompt: .*prompt_token_ids: \[([\d, ]*)\]"
)
_PARAMS = re.compile(r"\] Received request (\S+?): .*params: SamplingParams\((.*)")
_OUTPUT = re.compile(r"\] Generated response (\S+?)(?: \(streaming \w+\))?:? .*output_token_ids: \[([\d, ]*)\]")
_LIMIT = re.compile(r"\bmax_tokens=(\d+)")
_YEAR = 2000  # of which nothing is said; a leap year, so that every day exists


def is_request_log(text: str) -> bool:
    """Whether a line could be from vLLM's log."""
    return _STAMP.match(text) is not None


@dataclass(slots=True)
class _Request:
    """What has been read of one request. prompt: its token ids. limit: max_tokens, if it ignores the end of text."""

    moment: float
    prompt: list[int] = field(default_factory=list)
    output: int = 0
    limit: int = 0


def read_request_log(path: Path) -> Workload:
    """The requests in vLLM's log at `path`, in the order of their arrival; the first arrives at 0.

    Raises:
        WorkloadError: it cannot be read, or holds no request with the lengths of both prompt and output.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            requests = _requests(lines)
    except OSError as error:
        raise WorkloadError(f"cannot read the log {path} ({error.strerror}); give a text file") from None
    whole = [each for each in requests.values() if each.prompt and (each.output or each.limit)]
    if not whole:
        raise WorkloadError(
            f"{path}: {len(requests)} requests, none with prompt and output; log them with VLLM_LOGGING_LEVEL=DEBUG,"
            " --enable-log-requests and --enable-log-outputs"
        )
    left_out = len(requests) - len(whole)
    remark = f", {left_out} without lengths left out" if left_out else ""
    arrival = _spread([each.moment for each in whole])
    blocks = _blocks([each.prompt for each in whole])
    return Workload.of(
        path.stem,
        np.round(arrival - arrival.min(), 6),
        [len(each.prompt) for each in whole],
        [each.output or each.limit for each in whole],
        blocks=blocks,
        hash_block=HASH_BLOCK,
        origin=f"vLLM's request log {path.name}{remark}",
        group=_groups(blocks),
    )


def _requests(lines: Iterable[str]) -> dict[str, _Request]:
    """By its id, what the lines say of each request."""
    found: dict[str, _Request] = {}
    for line in lines:
        stamp = _STAMP.match(line)
        if stamp is None:
            continue
        if prompt := _PROMPT.search(line):
            request = found.setdefault(prompt[1], _Request(_moment(stamp)))
            request.prompt = [int(token) for token in prompt[2].split(",") if token.strip()]
        if parameters := _PARAMS.search(line):
            request = found.setdefault(parameters[1], _Request(_moment(stamp)))
            limit = _LIMIT.search(parameters[2])
            if limit and "ignore_eos=True" in parameters[2]:
                request.limit = int(limit[1])
        elif (output := _OUTPUT.search(line)) and output[1] in found:
            found[output[1]].output += sum(1 for token in output[2].split(",") if token.strip())
    return found


def _moment(stamp: re.Match[str]) -> float:
    """Seconds since the start of a year."""
    month, day, hour, minute, second = (int(stamp[place]) for place in range(1, 6))
    moment = datetime(_YEAR, month, day, hour, minute, second) - datetime(_YEAR, 1, 1)
    return moment / timedelta(seconds=1) + float(stamp[6] or 0)


def _spread(moments: list[float]) -> np.ndarray:
    """Times of which those that are equal are spread over their second, in their order; shape (n,)."""
    times = np.array(moments)
    # A log is in the order of time, so a step back is the turn of a year.
    times += np.cumsum(np.diff(times, prepend=times[0]) < -86400.0) * 366 * 86400.0
    if (times != np.floor(times)).any():
        return times
    count, passed = Counter(times.tolist()), Counter[float]()
    for place, moment in enumerate(times.tolist()):
        times[place] += passed[moment] / count[moment]
        passed[moment] += 1
    return times


def _blocks(prompts: list[list[int]]) -> list[list[int]]:
    """For each prompt, ids of its full blocks; equal ids stand for equal tokens after equal tokens."""
    known: dict[tuple[int, bytes], int] = {}
    found = []
    for prompt in prompts:
        ids: list[int] = []
        for end in range(HASH_BLOCK, len(prompt) + 1, HASH_BLOCK):
            tokens = np.array(prompt[end - HASH_BLOCK : end], dtype=np.int64).tobytes()
            before = ids[-1] if ids else -1
            ids.append(known.setdefault((before, tokens), len(known)))
        found.append(ids)
    return found


def _groups(blocks: list[list[int]]) -> list[int]:
    """Requests that start with the same block share a group's number; −1 for one that is alone with its own."""
    count = Counter(ids[0] for ids in blocks if ids)
    return [ids[0] if ids and count[ids[0]] > 1 else -1 for ids in blocks]
