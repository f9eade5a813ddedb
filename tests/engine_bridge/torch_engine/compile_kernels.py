"""Compiles every Triton kernel for an H100 or H200, which needs no GPU; prints the memory each needs.

Apart from the tests, since Triton either interprets kernels or compiles them, for a whole process.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine_bridge.torch_engine import fused
from engine_bridge.torch_engine.attention import triton_paged

HOPPER = GPUTarget("cuda", 90, 32)
INTEGERS = "*i32"


def compiled(function: Any, types: dict[str, str], constants: dict[str, Any], **options: int) -> None:
    """Compile a kernel for arguments of these types, pointers aligned as those of torch are."""
    signature = {name: types.get(name, "constexpr") for name in function.arg_names}
    places = {name: (place,) for place, name in enumerate(function.arg_names)}
    aligned = {places[name]: [["tt.divisibility", 16]] for name, kind in types.items() if kind.startswith("*")}
    values = {places[name]: value for name, value in constants.items()}
    source = ASTSource(function, signature, values, aligned)
    shared = triton.compile(source, target=HOPPER, options=options).metadata.shared
    assert shared < 228 * 1024, f"{function.__name__} needs {shared} bytes of shared memory"
    print(function.__name__, shared)


def main() -> None:
    """All kernels as Llama-3-8B and Qwen3-30B-A3B start them, in bf16 and float32."""
    for kind, (kv_heads, group) in product(("*bf16", "*fp32"), ((8, 4), (4, 8))):
        half = kind == "*bf16"
        shape = {"kv_heads": kv_heads, "head_dim": 128, "block_size": 16, "width": 128}
        attention = dict.fromkeys(("queries", "keys", "values"), kind) | {"tables": INTEGERS, "contexts": INTEGERS}
        attention |= {"scale": "fp32", "query_stride": "i32", "table_stride": "i32"}
        for splits in (1, 8):
            parts = kind if splits == 1 else "*fp32"
            compiled(
                triton_paged._decode, {**attention, "parts": parts, "weights": parts},
                {**shape, "group": group, "splits": splits, "rows": 16, "columns": 64},
                num_warps=4, num_stages=3 if half else 2,
            )  # fmt: skip
        compiled(
            triton_paged._prefill, {**attention, "result": kind, "starts": INTEGERS, "first": "i32"},
            {**shape, "heads": 32, "rows": 128 if half else 32, "columns": 64 if half else 32},
            num_warps=8 if half else 4, num_stages=2,
        )  # fmt: skip
        compiled(
            fused._rotate_and_store,
            dict.fromkeys(("qkv", "query_norm", "key_norm", "keys", "values"), kind)
            | {"rope": "*fp32", "positions": INTEGERS, "slots": INTEGERS, "eps": "fp32"},
            {"heads": 32, "kv_heads": kv_heads, "half": 64, "norm": True, "head_block": 8, "half_block": 64},
            num_warps=1,
        )  # fmt: skip
    for kind in ("*bf16", "*fp32"):
        combined = {"parts": "*fp32", "weights": "*fp32", "result": kind}
        compiled(triton_paged._combine, combined, {"heads": 32, "head_dim": 128, "splits": 8, "width": 128})
        rows = dict.fromkeys(("x", "residual", "weight", "result"), kind)
        compiled(fused._norm_rows, {**rows, "eps": "fp32"}, {"columns": 4096, "add": True, "block": 4096})
        compiled(fused._silu_mul, {"gate_up": kind, "result": kind}, {"columns": 14_336, "block": 1024})


if __name__ == "__main__":
    main()
