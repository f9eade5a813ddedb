"""The offline proposer: typed genetic programming over expressions. It is no language model and needs none."""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from discovery.proposers.base import Answer, Parent, Request
from discovery.proposers.expressions import (
    ANY,
    NONNEGATIVE,
    ONE,
    OPERATORS,
    POSITIVE,
    Grower,
    Node,
    Position,
    Sign,
    constant,
    make,
    parse,
    positions,
    render,
    replace,
    tidy,
)
from problems.base import Entry
from problems.skeleton import Skeleton

MAX_SIZE = 60
MAX_DEPTH = 14
"""No larger expression is proposed. (MDDC, a rule an LLM found, has size 37 and depth 11.)"""

ATTEMPTS = 8
"""How often a change that changes nothing, or makes too much of it, is tried again."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is open in a skeleton: the expression, and the values of its parameters."""

    expression: Node
    parameters: Mapping[str, int]


class Genetic:
    """Writes heuristics by growing, changing and crossing expressions over the arguments of an entry function.

    A request's answer depends on its seed, number, operator and parents only. A parent that is outside the
    expression language counts as absent; with no parent left, a new expression is grown.
    """

    operators = ("create", "mutate", "crossover", "tune")
    needs_prompt = False

    def __init__(self, entry: Entry, skeleton: Skeleton | None = None) -> None:
        """`skeleton` is needed for a problem whose answer is not one score per job.

        Raises:
            ValueError: expressions over the arguments cannot make a heuristic for this entry function.
        """
        self._skeleton = skeleton or _bare(entry)
        self._read = lru_cache(maxsize=1000)(self._read_afresh)

    async def propose(self, request: Request) -> Answer:
        """Write one heuristic.

        Raises:
            ValueError: the operator is not a known one.
        """
        if request.operator not in self.operators:
            raise ValueError(f"operator '{request.operator}' is not one of {', '.join(self.operators)}")
        rng = random.Random(f"{request.seed}:{request.number}")
        programs = [program for parent in request.parents if (program := self._read(parent.source))]
        source = self._write(self._vary(request.operator, programs, rng), request.operator)
        return Answer(source, source, "genetic")

    async def close(self) -> None:
        """Nothing to let go of."""
