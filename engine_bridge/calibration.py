"""Fits the cost model to a step log: non-negative least squares on relative errors, robust to outliers.

In which regime a step is depends on the coefficients, which depend on the regimes: both are found in turns (as in
k-plane regression), from several first guesses of the token count at which steps become compute-bound. Within a turn
the model is linear; steps whose relative residual is large against the median absolute one count less (Tukey's
biweight, the usual 4.685 and 1.4826), so a pause of the machine does not bend the fit.
"""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.cost import COMPUTE_BOUND, MEMORY_BOUND, Coefficients, CostModel, touched
from engine_bridge.least_squares import non_negative_least_squares
from engine_bridge.step_log import StepLog, StepLogError

Array = NDArray[Any]

NAMES = tuple(each.name for each in fields(Coefficients))
"""What is fitted, in the order of the columns of `_matrix`."""
MINIMUM_STEPS = 40
"""Fewer steps are refused."""
HELD_OUT = 5
"""Every so many-th step is kept from the fit, and the error is told on those."""
FIRST_GUESSES = 7
TURNS = 40
MOST_STEPS = 20_000
"""A fit to more steps than that uses so many of them, evenly spaced."""
AS_GOOD = 1e-3
"""Fits whose loss differs by less, relatively, count as equally good."""
OUTLIER = 0.5
"""A step whose time the model misses by more, relatively, is told as an outlier."""

_BIWEIGHT, _TO_DEVIATION = 4.685, 1.4826
_EXACT = 1e-9
"""Relative residuals below this are rounding."""


def calibrate(log: StepLog, *, name: str, experts: int = 0, top_k: int = 0) -> CostModel:
    """The cost model fitted to `log`, with its error on held-out steps.

    Raises:
        StepLogError: too few steps, or all alike.
    """
    if len(log) < MINIMUM_STEPS:
        raise StepLogError(f"the step log has {len(log)} steps with tokens; log at least {MINIMUM_STEPS}")
    if np.ptp(log.tokens) == 0 and np.ptp(log.decode_kv) == 0:
        raise StepLogError(
            f"every step has {log.tokens[0]:g} tokens and {log.decode_kv[0]:g} tokens of KV; log a varied workload"
        )
    held_out = np.arange(len(log)) % HELD_OUT == HELD_OUT - 1
    used = np.flatnonzero(~held_out)
    used = used[:: -(-len(used) // MOST_STEPS)]
    model = CostModel(
        name=name,
        coefficients=fit(log.select(used), experts, top_k),
        experts=experts,
        top_k=top_k,
        fitted=True,
        origin=f"fitted to {len(used)} steps of a log of {len(log)}; every {HELD_OUT}th was held out",
    )
    return replace(model, error=error(model, log.select(held_out)))


def error(model: CostModel, log: StepLog) -> dict[str, Any]:
    """Relative error of `model` on the steps of `log`, by regime: steps, median, p90 and largest; None for no steps.

    `outliers`: steps missed by more than OUTLIER, which their regime counts as well. `total`: predicted over measured
    seconds of all steps but the outliers, less 1. `seen`: the most tokens and KV tokens of a step.
    """
    guess = predict(model, log)
    relative, bound = np.abs(guess / log.seconds - 1), model.compute_bound(log.tokens)
    usual = relative <= OUTLIER
    return {
        "against": "held-out steps of the log",
        "regimes": {
            COMPUTE_BOUND: quantiles(relative[bound]),
            MEMORY_BOUND: quantiles(relative[~bound]),
            "all": quantiles(relative),
        },
        "outliers": int(np.count_nonzero(~usual)),
        "total": round(float(guess[usual].sum() / log.seconds[usual].sum() - 1), 4) if usual.any() else None,
        "seen": {"tokens": int(log.tokens.max()), "decode_kv": int(log.decode_kv.max())},
    }


def quantiles(errors: Array) -> dict[str, float | int | None]:
    """Steps, median, 90th percentile and largest of `errors`, rounded for people."""
    if not len(errors):
        return {"steps": 0, "median": None, "p90": None, "largest": None}
    median, high, largest = (round(float(value), 4) for value in np.quantile(errors, (0.5, 0.9, 1.0)))
    return {"steps": len(errors), "median": median, "p90": high, "largest": largest}


def predict(model: CostModel, log: StepLog) -> Array:
    """Seconds of every step by the model; shape (n,)."""
    return model.seconds(
        prefill_tokens=log.prefill_tokens,
        prefill_attention=log.prefill_attention,
        decodes=log.decodes,
        decode_kv=log.decode_kv,
        batch=log.batch,
        layer_groups=log.layer_groups,
    )


def fit(log: StepLog, experts: int = 0, top_k: int = 0) -> Coefficients:
    """The coefficients with the smallest mean absolute relative error among those that the first guesses lead to.

    Of equally good ones, those with the fewest compute-bound steps: a log of decodes alone can be explained by either.
    """
    guesses = [*np.quantile(log.tokens, np.linspace(0, 1, FIRST_GUESSES)), np.inf]
    fits = [_descend(log, experts, top_k, float(crossover)) for crossover in np.unique(guesses)[::-1]]
    losses = [_loss(found, log, experts, top_k) for found in fits]
    good = (1 + AS_GOOD) * min(losses) + _EXACT
    return next(found for found, loss in zip(fits, losses, strict=True) if loss <= good)


def _descend(log: StepLog, experts: int, top_k: int, crossover: float) -> Coefficients:
    """Regimes and coefficients in turns, from compute-bound at `crossover` tokens on, until nothing changes."""
    compute, decode_compute = log.tokens >= crossover, log.decodes >= crossover
    weight = np.ones(len(log))
    coefficients = Coefficients()
    for _ in range(TURNS):
        matrix = _matrix(log, experts, top_k, compute, decode_compute) / log.seconds[:, None]
        found = _non_negative(matrix * weight[:, None], weight)
        coefficients, before = Coefficients(**dict(zip(NAMES, found.tolist(), strict=True))), coefficients
        model = CostModel(name="fit", coefficients=coefficients, experts=experts, top_k=top_k)
        compute, decode_compute = model.compute_bound(log.tokens), model.compute_bound(log.decodes)
        weight = np.sqrt(_biweight(predict(model, log) / log.seconds - 1))
        if np.allclose(astuple(coefficients), astuple(before), rtol=_EXACT, atol=1e-15):
            break
    return coefficients


def _matrix(log: StepLog, experts: int, top_k: int, compute: Array, decode_compute: Array) -> Array:
    """What each coefficient is multiplied with in each step, given its regimes; shape (n, 7).

    `compute`: whether the layers that see all tokens are compute-bound; `decode_compute`: those that see decodes only.
    """
    share = 1.0 / log.layer_groups
    memory, decode_memory = share * ~compute, (1 - share) * (~decode_compute & (log.decodes > 0))
    columns = (
        np.ones(len(log)),
        log.batch,
        memory + decode_memory,
        memory * touched(experts, top_k, log.tokens) + decode_memory * touched(experts, top_k, log.decodes),
        share * compute * log.tokens + (1 - share) * decode_compute * log.decodes,
        share * log.prefill_attention,
        log.decode_kv,
    )
    return np.column_stack(columns)


def _non_negative(matrix: Array, target: Array) -> Array:
    """argmin |matrix · x − target| over x ≥ 0; shape (7,). Columns are scaled alike, those of zeros get 0."""
    size = np.linalg.norm(matrix, axis=0)
    size[size == 0] = 1.0
    # |Ax − b| = |Rx − r| but for a constant, with QR of (A b): the solver then sees 8 rows, however long the log.
    small: Array = np.asarray(np.linalg.qr(np.column_stack([matrix / size, target]), mode="r"))
    return np.asarray(non_negative_least_squares(small[:, :-1], small[:, -1]) / size)


def _biweight(residual: Array) -> Array:
    """Tukey's weights in [0, 1]; shape (n,)."""
    scale = max(_TO_DEVIATION * float(np.median(np.abs(residual))), _EXACT)
    return np.asarray(np.clip(1 - (residual / (_BIWEIGHT * scale)) ** 2, 0, None) ** 2)


def _loss(coefficients: Coefficients, log: StepLog, experts: int, top_k: int) -> float:
    model = CostModel(name="fit", coefficients=coefficients, experts=experts, top_k=top_k)
    return float(np.mean(np.abs(predict(model, log) / log.seconds - 1)))
