"""Schedules as data: which prompt tokens are prefilled when. Everything else follows, and can be checked.

A schedule is an int64 array of rows (request, iteration, tokens), shape (k, 3). The last chunk of a prompt emits the
first output token; the others follow one an iteration, without a pause. So the rows fix all completion times.
"""

from __future__ import annotations

import numpy as np

from problems.base import Array, Instance, InvalidDecision


def first_finish(instance: Instance) -> list[int]:
    """The earliest iteration that can finish each prompt: a_i + ⌈p_i/B⌉ − 1."""
    earliest: list[int] = (instance["arrival"] - (-instance["prompt"] // instance["budget"]) - 1).tolist()
    return earliest


def finished_prompts(instance: Instance, chunks: Array) -> Array:
    """The iteration t_i of each prompt's last chunk, −1 without any; shape (n,)."""
    finished = np.full(len(instance["prompt"]), -1, dtype=np.int64)
    np.maximum.at(finished, chunks[:, 0], chunks[:, 1])
    return finished


def completion_times(instance: Instance, chunks: Array) -> Array:
    """C_i = t_i + o_i: iteration t lasts from t to t + 1, and t_i emits the first of o_i tokens; shape (n,)."""
    return np.asarray(finished_prompts(instance, chunks) + instance["output"])


def check_schedule(instance: Instance, chunks: Array) -> None:
    """Raise `InvalidDecision` unless the rows are a schedule of the instance; nothing but the two is looked at.

    Every prompt is prefilled, wholly and not before it arrives; in no iteration are more than B tokens processed
    (chunks and decodes), or more than M tokens of KV held. O(k log k), whatever the length of the schedule.
    """
    if chunks.ndim != 2 or chunks.shape[1] != 3 or chunks.dtype != np.int64:
        raise InvalidDecision(f"expected rows (request, iteration, tokens) of whole numbers, got shape {chunks.shape}")
    request, iteration, tokens = chunks.T
    n = len(instance["prompt"])
    if len(chunks) and (request.min() < 0 or request.max() >= n):
        raise InvalidDecision(f"request numbers must lie in 0 … {n - 1}, got {request.min()} … {request.max()}")
    if (tokens < 1).any() or (tokens > instance["prompt"][request]).any():
        raise InvalidDecision("a chunk holds at least one token and at most the whole prompt")
    if (iteration < instance["arrival"][request]).any() or (iteration > 2**40).any():
        raise InvalidDecision("a chunk lies before the arrival of its request, or absurdly late")
    prefilled = np.zeros(n, dtype=np.int64)
    np.add.at(prefilled, request, tokens)
    if (wrong := np.flatnonzero(prefilled != instance["prompt"])).size:
        i = int(wrong[0])
        raise InvalidDecision(f"{prefilled[i]} of the {instance['prompt'][i]} tokens of prompt {i} are prefilled")
    _check_tokens(instance, chunks)
    _check_kv(instance, chunks)


def _check_tokens(instance: Instance, chunks: Array) -> None:
    """Σ chunks + decodes ≤ B in every iteration."""
    finished = finished_prompts(instance, chunks)
    # As differences: a chunk counts in its own iteration only, a decode from t_i + 1 to t_i + o_i − 1.
    ones = np.ones(len(finished), dtype=np.int64)
    at, (used,) = _running_sums(
        [chunks[:, 1], chunks[:, 1] + 1, finished + 1, finished + instance["output"]],
        [[chunks[:, 2], -chunks[:, 2], ones, -ones]],
    )
    _refuse(at, used, int(instance["budget"]), "tokens are processed", "the budget")


def _check_kv(instance: Instance, chunks: Array) -> None:
    """Tokens prefilled and decoded so far, of all unfinished requests, ≤ M in every iteration."""
    finished, output = finished_prompts(instance, chunks), instance["output"]
    ones = np.ones(len(finished), dtype=np.int64)
    # KV(t) = level + slope·t between events. A decode adds t − t_i; whatever a request holds goes when it completes.
    times = [chunks[:, 1], finished + 1, finished + output]
    nothing = np.zeros(len(chunks), dtype=np.int64)
    at, (level, slope) = _running_sums(
        times, [[chunks[:, 2], -finished, finished - instance["prompt"]], [nothing, ones, -ones]]
    )
    # Between events it can only grow, so it is greatest in the iteration before the next event.
    greatest = level + slope * (np.append(at[1:], at[-1] + 1) - 1)
    _refuse(at, greatest, int(instance["capacity"]), "tokens of KV are held", "the capacity")


def _running_sums(times: list[Array], columns: list[list[Array]]) -> tuple[Array, list[Array]]:
    """The distinct times, ascending, and for each column of increments its sum up to and including each time."""
    at, place = np.unique(np.concatenate(times), return_inverse=True)
    sums = []
    for column in columns:
        increments = np.zeros(len(at), dtype=np.int64)
        np.add.at(increments, place, np.concatenate(column))
        sums.append(np.cumsum(increments))
    return at, sums


def _refuse(at: Array, amount: Array, most: int, what: str, limit: str) -> None:
    if (amount > most).any():
        k = int(np.argmax(amount > most))
        raise InvalidDecision(f"{amount[k]} {what} in iteration {at[k]} or soon after, more than {limit} of {most}")
