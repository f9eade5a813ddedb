"""The cost model: how many seconds one step of the engine takes.

A step is `fixed + request · batch + linear + attention` seconds, where

- linear(t) = max(weights + expert · touched(t), token · t) for t tokens: every linear layer either waits for its
  weights (memory-bound, few tokens) or for its arithmetic (compute-bound, many): a roofline;
- touched(t) = E · (1 − (1 − k/E)^t): the experts that t tokens need at least once, if each token's k of E experts are
  drawn uniformly and independently. Real routing is skewed and touches fewer, so this is a bound on the traffic;
- attention = pair · prefill_attention + kv · decode_kv: prefill attention is arithmetic on query–key pairs, decode
  attention reads the KV cache.

The two regimes meet in a maximum, not in a smooth blend: kernels run one after the other, so an ideal step is a sum of
rooflines; a maximum has no exponent to fit, which a log that shows one regime could not tell; and within a regime it
is linear in its coefficients, so that non-negative least squares fits it.

Layered prefill runs the prompt tokens p of a step through one of g groups of layers only: a share 1/g of the layers
sees all tokens, the others see the d decodes alone, so linear = linear(p + d)/g + linear(d)·(1 − 1/g), and the pairs
of prefill attention count 1/g.

    model = load_profile("h200-llama3-8b")
    model.seconds(decodes=64, decode_kv=64 * 1024)  # arrays work as well
    step_time.step_seconds(model.vector, 0, 0, 64, 64 * 1024, 64, 1)  # the same, compiled
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

FIXED, REQUEST, WEIGHTS, EXPERT, TOKEN, PAIR, KV, EXPERTS, TOP_K = range(9)
"""Places in `CostModel.vector`."""

COMPUTE_BOUND, MEMORY_BOUND = "compute-bound", "memory-bound"
"""The regimes: which side of the linear layers' roofline a step is on."""


class ProfileError(ValueError):
    """A cost profile is missing or malformed; the message says which, where and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What is fitted: seconds, none negative.

    fixed: per step. request: per request in the batch. weights: reading the weights that every token needs, once.
    expert: reading one expert of all layers. token: arithmetic of one token in the linear layers.
    pair: one query–key pair of prefill attention, all layers. kv: reading one token of KV, all layers.
    """

    fixed: float = 0.0
    request: float = 0.0
    weights: float = 0.0
    expert: float = 0.0
    token: float = 0.0
    pair: float = 0.0
    kv: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Coefficients, the model's experts, and where the numbers come from.

    experts, top_k: experts per layer and how many of them each token uses; 0 for a dense model.
    fitted: whether the coefficients were fitted to a step log; if not, they are derived from figures, not measured.
    origin: one sentence for people. error: how well it fits and what, by regime; figures as in `calibration.Error`.
    """

    name: str
    coefficients: Coefficients
    experts: int = 0
    top_k: int = 0
    fitted: bool = False
    origin: str = ""
    error: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning.

        Raises:
            ProfileError: a coefficient is negative, infinite or NaN, or the experts make no sense.
        """
        for name, value in asdict(self.coefficients).items():
            if not math.isfinite(value) or value < 0:
                raise ProfileError(f"profile {self.name}: {name} is {value}; give seconds ≥ 0")
        if not 0 <= self.top_k <= self.experts or (self.experts > 0 and self.top_k == 0):
            raise ProfileError(
                f"profile {self.name}: top_k {self.top_k} of {self.experts} experts; give 1 to experts, or 0 of 0"
            )

    @property
    def vector(self) -> Array:
        """The flat form for compiled code, at the places named above; shape (9,), float64."""
        c = self.coefficients
        values = (c.fixed, c.request, c.weights, c.expert, c.token, c.pair, c.kv, self.experts, self.top_k)
        return np.array(values, dtype=np.float64)

    def seconds(
        self,
        *,
        prefill_tokens: ArrayLike = 0,
        prefill_attention: ArrayLike = 0,
        decodes: ArrayLike = 0,
        decode_kv: ArrayLike = 0,
        batch: ArrayLike | None = None,
        layer_groups: ArrayLike = 1,
    ) -> Array:
        """Seconds of each step; arguments broadcast, shape (n,) or ().

        Args:
            prefill_tokens: prompt tokens in the step (cached prefix tokens are not among them).
            prefill_attention: Σ over their requests of `attention_pairs(computed before, chunk)`.
            decodes: requests that decode one token each.
            decode_kv: Σ over the decodes of the tokens of KV they read.
            batch: requests in the step; by default the decodes, and one if there is prefill.
            layer_groups: groups of layered prefill; the prompt tokens run through one of them in this step.
        """
        c = self.coefficients
        prefill, decoding, share = (np.asarray(x, dtype=np.float64) for x in (prefill_tokens, decodes, layer_groups))
        share = 1.0 / share
        linear = share * self.linear(prefill + decoding) + (1.0 - share) * self.linear(decoding)
        attention = c.pair * np.asarray(prefill_attention) * share + c.kv * np.asarray(decode_kv)
        busy = decoding + (prefill > 0) if batch is None else np.asarray(batch)
        return np.asarray(c.fixed + c.request * busy + linear + attention)

    def linear(self, tokens: Array) -> Array:
        """Seconds `tokens` tokens spend in the linear layers of the whole model; same shape."""
        traffic, arithmetic = self.traffic(tokens), self.coefficients.token * tokens
        return np.where(tokens > 0, np.maximum(traffic, arithmetic), 0.0)

    def traffic(self, tokens: Array) -> Array:
        """Seconds of reading the weights that `tokens` tokens need; same shape."""
        return self.coefficients.weights + self.coefficients.expert * touched(self.experts, self.top_k, tokens)

    def compute_bound(self, tokens: Array) -> Array:
        """Whether a step of `tokens` tokens is on the compute side of the roofline; same shape, bool."""
        return np.asarray(self.coefficients.token * tokens > self.traffic(tokens))

    def save(self, path: Path) -> None:
        """Write the profile as JSON."""
        path.write_text(
            json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def touched(experts: int, top_k: int, tokens: ArrayLike) -> Array:
    """Experts that `tokens` tokens touch in expectation, E·(1 − (1 − k/E)^tokens); same shape; 0 for a dense model."""
    tokens = np.asarray(tokens, dtype=np.float64)
    return experts * (1.0 - (1.0 - top_k / experts) ** tokens) if experts else np.zeros_like(tokens)


def attention_pairs(computed: ArrayLike, chunk: ArrayLike) -> Array:
    """Query–key pairs of `chunk` prompt tokens that follow `computed` tokens: each attends to itself and all before."""
    before, new = np.asarray(computed, dtype=np.float64), np.asarray(chunk, dtype=np.float64)
    return np.asarray(new * before + new * (new + 1) / 2)


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package, sorted."""
    return sorted(
        Path(each.name).stem for each in files("engine_bridge.profiles").iterdir() if each.name.endswith(".json")
    )


def load_profile(name: str | Path) -> CostModel:
    """A shipped profile by its name, or any profile by the path of its JSON file.

    Raises:
        ProfileError: there is no such profile, or it is malformed.
    """
    if str(name) in shipped_profiles():
        return _parse(files("engine_bridge.profiles").joinpath(f"{name}.json").read_text(encoding="utf-8"), str(name))
    path = Path(name)
    if not path.is_file():
        raise ProfileError(f"no cost profile {name}; give a JSON file or one of {', '.join(shipped_profiles())}")
    return _parse(path.read_text(encoding="utf-8", errors="replace"), str(path))


def _parse(text: str, where: str) -> CostModel:
    """The profile in `text`, all fields checked."""
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProfileError(f"{where} is no JSON ({error}); write it with `discover calibrate --profile`") from None
    if not isinstance(record, dict) or not isinstance(record.get("coefficients"), dict):
        raise ProfileError(f"{where} is no cost profile; write one with `discover calibrate --profile`")
    _refuse_unknown(set(record), CostModel, where)
    values = record["coefficients"]
    _refuse_unknown(set(values), Coefficients, where)
    for key, value in {**values, **{key: record.get(key, 0) for key in ("experts", "top_k")}}.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ProfileError(f"{where}: {key} is {value!r}; give a number")
    record["coefficients"] = Coefficients(**values)
    return CostModel(**{"name": Path(where).stem, **record})


def _refuse_unknown(keys: set[str], kind: type, where: str) -> None:
    """Refuse keys that are no fields of the dataclass `kind`."""
    unknown = keys - {each.name for each in fields(kind)}
    if unknown:
        raise ProfileError(f"{where}: unknown {', '.join(sorted(unknown))}; take the keys out")
