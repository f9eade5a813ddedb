"""The policy protocol: what a serving engine asks a policy in each step, what it shows, and what it accepts.

A policy is a Python file with one or more of these functions, each called with one argument, the `View`:

    rank_waiting(view)  scores of the waiting requests shown: the order in which they are admitted
    rank_running(view)  scores of the running requests: who gets tokens first; the last is preempted first
    token_budget(view)  tokens processed in this step at most, 1 … view.max_tokens
    admit_limit(view)   how many requests may run; counts as at least view.running and at most view.max_running

and of the extensions, which not every engine can carry out (`ENGINES`):

    hold(view)          1 for each running request to be left out of this step, else 0
    chunk(view)         prompt tokens that each request shown may process in this step at most; 0 passes it over
    layer_groups(view)  in how many groups of layers prompts that start now are processed, one group a step: their
                        tokens count as computed after so many steps, until which no other prompt goes on or starts

The lower score goes first and ties keep the present order. A function that is missing leaves things as vLLM's
first-come-first-served scheduler does them.

**When a function is asked**: in a step that starts with unfinished requests, before anything is scheduled, in this
order: `rank_waiting` if two or more wait, `rank_running` if two or more run, `token_budget`, `admit_limit` if one or
more wait, `hold` if one or more run, `chunk`, `layer_groups` unless prompts are on their way through the layers;
`rank_waiting` and `admit_limit` only if fewer than max_running run, since else nobody can be admitted (vLLM's hooks
may ask for the order of those that wait earlier, for a step to come: `engine_bridge.vllm.settings`). Each view shows
the order that the answers before it have made; an order lasts. New requests wait at the end, preempted ones at the
front. Only the first `window` of those that wait are shown and put in order; `rank_waiting` is shown these,
`rank_running` those that run, every other function those that run followed by those shown of those that wait.

**Liveness**: an answer that is none (`InvalidAnswer`: NaN, wrong length, out of range, nothing in time) counts as
the function missing in this step; a step in which the answers would schedule nothing is done again without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CORE = ("rank_waiting", "rank_running", "token_budget", "admit_limit")
"""Functions that every engine carries out, but for those `ENGINES` says less of."""

EXTENSIONS = ("hold", "chunk", "layer_groups", "swap", "dispatch", "migrate", "pool")
"""Functions that only some engines carry out."""

ENGINES: Mapping[str, frozenset[str]] = {
    "sim": frozenset({*CORE, "hold", "chunk", "layer_groups"}),
    "torch": frozenset({*CORE, "hold", "chunk", "layer_groups"}),
    "vllm": frozenset(CORE),
    "sglang": frozenset({"rank_waiting"}),
}
"""The capability matrix: which engine carries out which functions."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the view; its meaning is what a heuristic's author is told."""

    name: str
    meaning: str
    sign: Literal["positive", "nonnegative", "any"] = "nonnegative"


VECTORS = (
    Field("id", "number of the request"),
    Field("arrival", "time it arrived (s)"),
    Field("prompt", "tokens of its prompt", "positive"),
    Field("computed", "tokens of prompt and output whose KV is in the cache; 0 for one that waits"),
    Field("cached", "tokens at its start that it would find in the prefix cache if admitted now; 0 for one that runs"),
    Field("output", "tokens it has generated so far"),
    Field("predicted", "predicted total of the tokens it will generate", "positive"),
    Field("ttft_due", "time its first token is due (s): arrival + TTFT objective"),
    Field("tpot", "objective for the time from one output token to the next (s)", "positive"),
    Field("priority", "priority its user gave it; lower is more urgent", "any"),
    Field("group", "number of the group that shares a prefix; −1 for none", "any"),
    Field("blocks", "KV blocks it holds"),
    Field("last", "time of its last output token (s); before the first its arrival"),
    Field("is_running", "1 for a request that runs, 0 for one that waits"),
)
"""Fields with one number per request shown, in the order of the queue."""

SCALARS = (
    Field("now", "the time (s)"),
    Field("free_blocks", "KV blocks that are free"),
    Field("total_blocks", "KV blocks there are", "positive"),
    Field("block_size", "tokens per KV block", "positive"),
    Field("last_step", "how long the last step took (s); 0 before the first"),
    Field("max_tokens", "tokens processed in one step at most, as configured", "positive"),
    Field("max_running", "how many requests may run at most, as configured", "positive"),
    Field("waiting", "how many requests wait, those not shown included"),
    Field("running", "how many requests run"),
)
"""Fields with one number."""

VECTOR_NAMES = tuple(field.name for field in VECTORS)
SCALAR_NAMES = tuple(field.name for field in SCALARS)
_ROWS = {name: row for row, name in enumerate(VECTOR_NAMES)}
_PLACES = {name: place for place, name in enumerate(SCALAR_NAMES)}

RECORDS = f"view:{'|'.join(VECTOR_NAMES)},{'|'.join(SCALAR_NAMES)}"
"""How a sealed process makes its view of `View.vectors` and `View.numbers` (`evaluators.sandbox.wire`)."""


class InvalidAnswer(ValueError):
    """A policy's answer is none: the message names the function and says what is wrong with it."""


class UnsupportedFunction(ValueError):
    """A policy has a function that the engine cannot carry out, or none at all."""


class View:
    """What a policy sees: the fields `VECTORS` as read-only float64 arrays of shape (n,), `SCALARS` as floats.

    `vectors` holds the former as rows, shape (len(VECTORS), n), `numbers` the latter, shape (len(SCALARS),). Both
    belong to the view alone: a policy may keep it.
    """

    __slots__ = ("numbers", "vectors")

    vectors: Array
    numbers: Array

    id: Array
    arrival: Array
    prompt: Array
    computed: Array
    cached: Array
    output: Array
    predicted: Array
    ttft_due: Array
    tpot: Array
    priority: Array
    group: Array
    blocks: Array
    last: Array
    is_running: Array
    now: float
    free_blocks: float
    total_blocks: float
    block_size: float
    last_step: float
    max_tokens: float
    max_running: float
    waiting: float
    running: float

    def __init__(self, vectors: Array, numbers: Array) -> None:
        vectors.setflags(write=False)
        numbers.setflags(write=False)
        self.vectors = vectors
        self.numbers = numbers

    def __getattr__(self, name: str) -> Any:
        row = _ROWS.get(name)
        if row is not None:
            return self.vectors[row]
        place = _PLACES.get(name)
        if place is not None:
            return float(self.numbers[place])
        raise AttributeError(f"'view' has no field '{name}' (it has {', '.join(VECTOR_NAMES + SCALAR_NAMES)})")

    def __len__(self) -> int:
        """How many requests are shown."""
        return int(self.vectors.shape[1])

    def __repr__(self) -> str:
        return f"View({', '.join(f'{name}={getattr(self, name)!r}' for name in VECTOR_NAMES + SCALAR_NAMES)})"


def make_view(**fields: object) -> View:
    """A view made of its fields by name: for tests, and for engines that have no arrays ready.

    Raises:
        ValueError: a field is missing or unknown, or the vectors differ in length.
    """
    names = {*VECTOR_NAMES, *SCALAR_NAMES}
    if wrong := sorted(names ^ set(fields)):
        raise ValueError(f"a view has the fields {', '.join(VECTOR_NAMES + SCALAR_NAMES)}; missing or unknown: {wrong}")
    vectors = np.array([fields[name] for name in VECTOR_NAMES], dtype=np.float64)
    return View(vectors, np.array([fields[name] for name in SCALAR_NAMES], dtype=np.float64))


class Policy(Protocol):
    """Anything that answers the functions it says it has."""

    @property
    def functions(self) -> frozenset[str]:
        """The functions it has, of `CORE` and `EXTENSIONS`; none: FCFS as in vLLM."""

    def ask(self, function: str, view: View) -> Array:
        """The raw answer of one of `functions`; engines check it by `check_answer`.

        Raises:
            InvalidAnswer: there is no answer to this question; the engine goes on without it.
        """


class Trusted:
    """A policy of functions in this process: baselines and champions, whose code is believed."""

    def __init__(self, functions: Mapping[str, Callable[[View], object]]) -> None:
        if unknown := sorted(set(functions) - {*CORE, *EXTENSIONS}):
            raise UnsupportedFunction(f"no engine asks for '{unknown[0]}'; functions: {', '.join(CORE + EXTENSIONS)}")
        self._functions = dict(functions)
        self.functions = frozenset(functions)

    def ask(self, function: str, view: View) -> Array:
        """The function's answer; what it raises is a bug of the policy and passes."""
        return np.asarray(self._functions[function](view))


FCFS: Policy = Trusted({})
"""First come, first served: what vLLM does by default, decodes and started prompts first."""


class AskFunction(Protocol):
    """Puts a question to a sealed file: `evaluators.sandbox.session.Session.ask`, `problems.base.Ask`."""

    def __call__(self, function: str, arrays: Sequence[Array], *, records: str = "") -> Array:
        """The answer of `function` to records made of `arrays`."""


class Asked:
    """A policy whose functions are reached through `ask`, wherever they run; what `ask` raises passes."""

    def __init__(self, ask: AskFunction, functions: Iterable[str]) -> None:
        self._ask = ask
        self.functions = frozenset(functions)

    def ask(self, function: str, view: View) -> Array:
        """The answer from the other side."""
        return self._ask(function, (view.vectors, view.numbers), records=RECORDS)


def load_policy(path: Path | str) -> Policy:
    """The policy in a file that is trusted: it is run here, with all rights.

    Raises:
        OSError: it cannot be read.
        UnsupportedFunction: it defines no function of the protocol.
    """
    # Annotations are not looked at, as in the sealed process.
    code = compile(Path(path).read_bytes(), str(path), "exec", annotations.compiler_flag, dont_inherit=True)
    namespace: dict[str, Any] = {"__name__": "policy", "__file__": str(path)}
    exec(code, namespace)
    functions = {name: namespace[name] for name in CORE + EXTENSIONS if callable(namespace.get(name))}
    if not functions:
        raise UnsupportedFunction(f"{path} defines no function of a policy; it needs one of {', '.join(CORE)}")
    return Trusted(functions)


def require_engine(policy: Policy, engine: str) -> None:
    """Refuse a policy that this engine cannot carry out.

    Raises:
        UnsupportedFunction: `policy` has a function that `engine` does not ask for.
        KeyError: there is no such engine.
    """
    if beyond := sorted(policy.functions - ENGINES[engine]):
        able = sorted(name for name, functions in ENGINES.items() if policy.functions <= functions)
        where = f"engines that can: {', '.join(able)}" if able else "no engine of ours can"
        raise UnsupportedFunction(f"engine '{engine}' cannot carry out '{beyond[0]}'; {where}")


def check_answer(function: str, answer: Array, view: View) -> Array:
    """The answer in its final form.

    Returns:
        rank_waiting, rank_running: float64 scores, shape (n,); infinite ones are allowed.
        hold: bool, one per running request, shape (running,): leave it out of this step.
        chunk: int64, one per request shown, shape (n,): prompt tokens it may process in this step at most; 0: none.
        token_budget, admit_limit, layer_groups: int64, shape (); fractions are rounded down, admit_limit is clipped.

    Raises:
        InvalidAnswer: it is no answer of this function.
    """
    if answer.dtype.kind not in "fiub":
        raise InvalidAnswer(f"{function}: expected numbers, got an array of {answer.dtype}")
    if function in ("rank_waiting", "rank_running"):
        return _vector(function, answer, len(view), np.float64)
    if function == "hold":
        held = _vector(function, answer, int(view.running), np.float64)
        if not ((held == 0) | (held == 1)).all():
            raise InvalidAnswer("hold: expected 0 or 1 for each running request, got another number")
        return held.astype(np.bool_)
    if function == "chunk":
        tokens = _vector(function, answer, len(view), np.float64)
        if len(tokens) and tokens.min() < 0:
            raise InvalidAnswer(f"chunk: expected tokens ≥ 0, got {tokens.min():g}")
        return np.minimum(tokens, view.max_tokens).astype(np.int64)
    return _number(function, answer, view)


def _vector(function: str, answer: Array, n: int, dtype: type[np.float64]) -> Array:
    """`answer` if it holds n numbers and no NaN."""
    if answer.shape != (n,):
        raise InvalidAnswer(f"{function}: expected shape ({n},), got {answer.shape}")
    values = answer.astype(dtype, copy=False)
    if math.isnan(values.dot(values)):  # squares add up to NaN only if one of them is; the quickest test there is
        raise InvalidAnswer(f"{function}: number {int(np.isnan(values).argmax())} of {n} is NaN")
    return values


def _number(function: str, answer: Array, view: View) -> Array:
    """`answer` if it is one number in its range."""
    if answer.size != 1 or answer.ndim > 1:
        raise InvalidAnswer(f"{function}: expected one number, got shape {answer.shape}")
    value = float(answer.item())
    if function == "admit_limit" and not np.isnan(value):
        return np.array(int(min(max(value, view.running), max(view.max_running, view.running))))
    most = view.max_tokens if function == "token_budget" else 1024
    if not 1 <= value <= most:
        raise InvalidAnswer(f"{function}: expected a number in 1 … {most:g}, got {value:g}")
    return np.array(int(value))
