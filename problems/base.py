"""The `Problem` protocol: everything the rest of the system needs to know about a scheduling problem."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from problems.entry import Argument as Argument  # so that a problem's file needs but one import
from problems.entry import Companion as Companion
from problems.entry import Entry as Entry
from problems.entry import Record as Record
from problems.errors import InstanceError as InstanceError
from problems.errors import InvalidDecision as InvalidDecision
from problems.errors import ProblemError as ProblemError
from problems.errors import Unanswered as Unanswered
from problems.skeleton import Skeleton

Array = NDArray[Any]

HINTS = (
    "Consider which of the known rules goes wrong where, and what it overlooks.",
    "Consider a smooth trade-off where known rules switch abruptly.",
    "Consider the distribution of the values, not only the single item.",
    "Consider how much remains in total, and how that should change the rule.",
    "Consider what a choice made now takes away from those that come later.",
    "Consider which of the given quantities the known rules leave unused.",
)
"""They fit any problem; one that knows better gives its own."""


@dataclass(frozen=True)
class Instance:
    """One problem instance: named read-only arrays, and the classes it is reported under."""

    name: str
    arrays: Mapping[str, Array]
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for array in self.arrays.values():
            array.setflags(write=False)

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    @cached_property
    def digest(self) -> str:
        """Content hash (hex): equal for equal arrays, whatever the instance is called."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays.items()):
            digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Bound:
    """A certified lower bound on the cost of one instance.

    `kind` is `optimal` only on a solver's proof; `best` is the cost of the best known solution, `solution`.
    """

    value: float
    kind: Literal["optimal", "lower"]
    method: str
    seconds: float
    best: float | None = None
    solution: tuple[int, ...] | None = None
    details: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in ("optimal", "lower"):
            raise ValueError(f"the kind of a bound is 'optimal' or 'lower', not {self.kind!r}")
        for name in ("value", "seconds", *(["best"] if self.best is not None else [])):
            number = float(getattr(self, name))  # NumPy's numbers are no JSON
            if not math.isfinite(number):
                raise ValueError(f"the {name} of a bound must be finite, not {number}")
            object.__setattr__(self, name, number)


class Ask(Protocol):
    """Puts one question to a heuristic and returns its answer; how trusted code reaches untrusted code."""

    def __call__(self, function: str, arrays: Sequence[Array], *, dispatch: bool = False, records: str = "") -> Array:
        """Call `function` on copies of `arrays` (0-d arrays arrive as numbers) and return its raw answer.

        With `dispatch`, `function` is called for every job in turn and the answer is the order of the jobs. With
        `records` (`Entry.records`), `arrays` are those of `Entry.inputs`, and `function` gets them as attributes.

        Raises:
            Unanswered: there is no answer, by the heuristic's fault or the sandbox's; let it pass.
            ValueError: the question cannot be put.
        """


class Problem(ABC):
    """A scheduling problem. The defaults fit a problem whose decision is a permutation of n jobs.

    A problem whose entry is `interactive` overrides `decide` (simulate, ask, return what was decided), `check` (from
    the instance alone, whatever `decide` did) and `cost`.
    """

    name: ClassVar[str]
    entry: ClassVar[Entry]
    brief: ClassVar[str]
    """What a model is told: the problem, the objective, the meaning of the answer. Markdown."""
    splits: ClassVar[tuple[str, ...]] = ("probe", "train", "validation", "test")
    """Names of the standard splits; these four must be there, others may be."""
    baselines: ClassVar[Path | None] = None
    """Folder of baseline heuristic files."""
    best_baseline: ClassVar[str | None] = None
    """Name of the baseline to beat."""
    seeds: ClassVar[tuple[str, ...]] = ()
    """Names of the baselines a search starts from, unless its config says otherwise."""
    skeleton: ClassVar[Skeleton | None] = None
    """For the genetic proposer, where the answer is no score: the file around the expression it evolves."""
    bounds: ClassVar[Path | None] = None
    """Folder of stored bounds (JSON lines); a bound that is not there is computed."""
    instance_fields: ClassVar[tuple[str, ...]] = ()
    """What a user's own instance lists, one number per job; if empty, the entry's plain vector arguments."""
    instance_scalars: ClassVar[tuple[str, ...]] = ()
    """What a user's own instance gives as one number each; arrays without dimensions in the instance."""
    hints: ClassVar[tuple[str, ...]] = HINTS
    """What a model may be told to consider, one at a time, so that equal parents do not give equal prompts."""

    class_meanings: ClassVar[Mapping[str, str]] = {}
    """What a model is told that the instances of a class have in common, by the class's name."""

    @abstractmethod
    def split(self, name: str) -> Sequence[Instance]:
        """The instances of a standard split, always the same ones.

        `probe`: a handful, to tell behaviours apart; `train` drives the search; `validation` chooses; `test` reports.
        """

    def fresh(self, seed: int) -> Sequence[Instance]:
        """Instances like those of the test split, drawn with `seed`: others than any split holds.

        Raises:
            ProblemError: the problem has no generator.
        """
        raise ProblemError(f"problem '{self.name}' cannot draw fresh instances: give its class a method fresh(seed)")

    @abstractmethod
    def cost(self, instance: Instance, decision: Array) -> float:
        """Cost of a checked decision; lower is better."""

    @abstractmethod
    def bound(self, instance: Instance) -> Bound:
        """A certified lower bound on the cost of every decision."""

    def parse(self, record: Mapping[str, object], name: str) -> Instance:
        """Make an instance from a JSON record: a list of numbers for each vector, a number for each scalar.

        Raises:
            InstanceError: a key is missing or unknown, or the values break a rule of the problem.
        """
        vectors = self.instance_fields or self._plain_vectors()
        fields = (*vectors, *self.instance_scalars)
        if not fields:
            raise InstanceError(f"{name}: {self.name} reads no instances; it names no `instance_fields`")
        if unknown := sorted(set(record) - set(fields)):
            raise InstanceError(f"{name}: unknown key '{unknown[0]}'; expected {', '.join(fields)}")
        if missing := [field for field in fields if field not in record]:
            raise InstanceError(f"{name}: key '{missing[0]}' is missing; expected {', '.join(fields)}")
        arrays = {field: as_vector(record[field], f"{name}: '{field}'") for field in vectors}
        arrays |= {field: as_scalar(record[field], f"{name}: '{field}'") for field in self.instance_scalars}
        instance = Instance(name, arrays)
        self.validate(instance)
        return instance

    def validate(self, instance: Instance) -> None:
        """Refuse an instance that breaks a rule of the problem, by raising `InstanceError`."""
        lengths = {name: len(array) for name, array in instance.arrays.items() if array.ndim}
        if len(set(lengths.values())) > 1:
            raise InstanceError(f"{instance.name}: lists of different lengths: {lengths}; give one value per job")

    def cpu_limit(self, instance: Instance) -> float:
        """CPU seconds a heuristic may take on this instance; a set of instances gets the sum."""
        return 1.0

    def decide(self, instance: Instance, ask: Ask) -> Array:
        """Put the questions of one instance to a heuristic, numbers as floats, and return its decision, unchecked."""
        entry = self.entry
        if entry.driver != "dispatch":
            arrays = [instance[value.name].astype(np.float64) for value in entry.inputs]
            return ask(entry.function, arrays, records=entry.records)
        arrays = [instance[name].astype(np.float64) for name in self._plain_vectors()]
        keys = [instance[name] for name in reversed(entry.shown_by)]
        shown = np.lexsort(keys) if keys else np.arange(len(arrays[0]))
        answer = ask(entry.function, [array[shown] for array in arrays], dispatch=True)
        check_permutation(answer, len(shown))
        order: Array = shown[answer]
        return order

    def decide_with(self, instance: Instance, ask: Ask, functions: frozenset[str]) -> Array:
        """The same for a heuristic that defines `functions` of the entry's: what problems with companions override."""
        return self.decide(instance, ask)

    def reports(self, instance: Instance, decision: Array) -> Mapping[str, float]:
        """Figures of a checked decision that are shown beside the cost, by name; none for most problems."""
        return {}

    def check(self, instance: Instance, decision: Array) -> None:
        """Raise `InvalidDecision` unless `decision` is one; the default asks for a permutation of the jobs."""
        check_permutation(decision, next(len(array) for array in instance.arrays.values() if array.ndim))

    def _plain_vectors(self) -> tuple[str, ...]:
        arguments = self.entry.arguments
        return tuple(a.name for a in arguments if isinstance(a, Argument) and a.shape == "vector")


class Digested(Protocol):
    """Anything with a content hash."""

    @property
    def digest(self) -> str:
        """The hash."""


def digest(instances: Sequence[Digested]) -> str:
    """Content hash of a whole split: its instances' digests, in order."""
    return hashlib.sha256(" ".join(instance.digest for instance in instances).encode()).hexdigest()[:32]


def as_vector(values: object, what: str) -> Array:
    """A list of finite numbers as a 1-d array: int64 if all are whole, float64 otherwise.

    Raises:
        InstanceError: `values` is not a flat list of finite numbers.
    """
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise InstanceError(f"{what} must be a flat list of numbers")
    try:
        whole = all(type(value) is int or (value.is_integer() and abs(value) < 2**53) for value in values)
        array = np.array([int(value) for value in values] if whole else values, dtype=np.int64 if whole else np.float64)
    except OverflowError:
        raise InstanceError(f"{what} holds a number beyond 64 bits") from None
    if not np.isfinite(array).all():
        raise InstanceError(f"{what} holds a number that is not finite")
    return array


def as_scalar(value: object, what: str) -> Array:
    """A finite number as an array without dimensions: int64 if it is whole, float64 otherwise.

    Raises:
        InstanceError: `value` is not a finite number.
    """
    if type(value) not in (int, float):
        raise InstanceError(f"{what} must be a number")
    return as_vector([value], what).reshape(())


def check_scores(answer: Array, n: int) -> None:
    """Raise `InvalidDecision` unless `answer` holds one score for each of n things; infinite ones are allowed."""
    if answer.shape != (n,):
        raise InvalidDecision(f"expected scores of shape ({n},), got {answer.shape}")
    if n and math.isnan(answer.min()):  # NaN if there is one
        raise InvalidDecision(f"score {int(np.isnan(answer).argmax())} of {n} is NaN")


def check_permutation(decision: Array, n: int) -> None:
    """Raise `InvalidDecision` unless `decision` holds each of 0 … n−1 once, as int64."""
    if decision.ndim != 1 or len(decision) != n:
        raise InvalidDecision(f"expected a permutation of {n} jobs, got an array of shape {decision.shape}")
    if decision.dtype != np.int64:
        raise InvalidDecision(f"expected a permutation of whole numbers, got {decision.dtype}")
    if n and (decision.min() < 0 or decision.max() >= n):
        raise InvalidDecision(f"job numbers must lie in 0 … {n - 1}, got {decision.min()} … {decision.max()}")
    if n and (counts := np.bincount(decision, minlength=n)).max() > 1:
        raise InvalidDecision(f"job {int(counts.argmax())} is scheduled {counts.max()} times")
