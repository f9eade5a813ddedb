"""The compiled form of `engine_bridge.cost.CostModel.seconds`, for the simulator's loops."""

from typing import Any

from numpy.typing import NDArray

from engine_bridge.cost import EXPERT, EXPERTS, FIXED, KV, PAIR, REQUEST, TOKEN, TOP_K, WEIGHTS
from engine_bridge.jit import compiled

Array = NDArray[Any]


@compiled
def attention_pairs(computed: float, chunk: float) -> float:
    """Query–key pairs of `chunk` prompt tokens that follow `computed` tokens: Σ over them of their own position."""
    return chunk * computed + chunk * (chunk + 1) / 2


@compiled
def linear_seconds(c: Array, tokens: float) -> float:
    """Seconds `tokens` tokens spend in the linear layers: the larger of weight traffic and arithmetic."""
    if tokens <= 0:
        return 0.0
    traffic = c[WEIGHTS]
    if c[EXPERTS] > 0:
        traffic += c[EXPERT] * c[EXPERTS] * (1.0 - (1.0 - c[TOP_K] / c[EXPERTS]) ** tokens)
    return float(max(traffic, c[TOKEN] * tokens))


@compiled
def step_seconds(
    c: Array,
    prefill_tokens: float,
    prefill_attention: float,
    decodes: float,
    decode_kv: float,
    batch: float,
    layer_groups: float,
) -> float:
    """Seconds of one step; `c` is `CostModel.vector`, the rest as in `CostModel.seconds`."""
    share = 1.0 / layer_groups
    linear = linear_seconds(c, prefill_tokens + decodes)
    if layer_groups > 1.0:
        linear = share * linear + (1.0 - share) * linear_seconds(c, decodes)
    attention = c[PAIR] * prefill_attention * share + c[KV] * decode_kv
    return float(c[FIXED] + c[REQUEST] * batch + linear + attention)
