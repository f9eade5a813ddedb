"""The offline proposer: typed genetic programming over expressions. It is no language model and needs none."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from discovery.operators import WEIGHTS
from discovery.proposers.base import Answer, Ledger, Request
from discovery.proposers.expressions import Grower, Node, leaves, owner_of, parse, render, tidy
from discovery.proposers.variation import Behaviour, Variation
from problems.base import Argument, Entry, Record
from problems.skeleton import Skeleton

PARAMETER_SHARE = 0.3
"""How often a mutation or tuning of a file with parameters changes one of them."""

HEADER = '''\
"""Found by the offline genetic proposer (typed genetic programming, not an LLM).

Operator: {operator}.
"""

import numpy as np
'''


@dataclass(frozen=True, slots=True)
class Program:
    """What is open in a skeleton: the expression, and the values of its parameters."""

    expression: Node
    parameters: Mapping[str, int]


class Genetic:
    """Writes heuristics by growing, changing and crossing expressions over the arguments of an entry function.

    Fields of records are used like arguments (`expressions.leaves` says which), for problems that are asked
    interactively too, as long as the answer is one score for each element of a vector.
    A request's answer depends on its seed, number, operator and parents only. A parent that is outside the
    expression language counts as absent; with no parent left, a new expression is grown.
    """

    operators = ("create", "mutate", "crossover", "tune")
    weights = WEIGHTS
    prompted = ()
    lessons_every = 0
    lookahead = 6

    def __init__(self, entry: Entry, skeleton: Skeleton | None = None) -> None:
        """`skeleton` is needed for a problem whose answer is not one score per job.

        Raises:
            ValueError: expressions over the arguments cannot make a heuristic for this entry function.
        """
        self._skeleton = skeleton or _bare(entry)
        self._behaviour = Behaviour(self._skeleton.arguments)
        self._read = lru_cache(maxsize=1000)(self._read_afresh)

    async def propose(self, request: Request, ledger: Ledger) -> Answer:
        """Write one heuristic, at no cost.

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

    def _vary(self, operator: str, programs: Sequence[Program], rng: random.Random) -> Program:
        variation = Variation(Grower(self._skeleton.arguments, rng), rng, self._behaviour)
        if operator == "create" or not programs:
            drawn = {name: rng.choice(values) for name, values in self._skeleton.parameters.items()}
            return Program(variation.create(), drawn)
        first, *others = programs
        if operator == "crossover" and others:
            mixed = {name: rng.choice(programs).parameters[name] for name in first.parameters}
            return Program(variation.crossover(first.expression, others[0].expression), mixed)
        if first.parameters and rng.random() < PARAMETER_SHARE:
            return Program(first.expression, self._shifted(first.parameters, rng))
        change = variation.tune if operator == "tune" else variation.mutate
        return Program(change(first.expression), first.parameters)

    def _shifted(self, parameters: Mapping[str, int], rng: random.Random) -> dict[str, int]:
        """One parameter moved to a neighbouring value."""
        name = rng.choice([name for name, values in self._skeleton.parameters.items() if len(values) > 1])
        values = self._skeleton.parameters[name]
        place = values.index(parameters[name])
        neighbours = values[max(place - 1, 0) : place] + values[place + 1 : place + 2]
        return {**parameters, name: rng.choice(neighbours)}

    def _read_afresh(self, source: str) -> Program | None:
        """The program in a file; None if its expression is outside the language.

        A file that was not made from the skeleton lends its expression; parameters it lacks, or sets to other
        values, get their first.
        """
        expression = parse(source, self._skeleton.function, self._skeleton.arguments)
        if expression is None:
            return None
        found = _constants(source) if self._skeleton.parameters else {}
        parameters = {
            name: found[name] if found.get(name) in values else values[0]
            for name, values in self._skeleton.parameters.items()
        }
        return Program(tidy(expression), parameters)

    def _write(self, program: Program, operator: str) -> str:
        """The file: what is open in the skeleton, then its fixed part."""
        arguments = self._skeleton.arguments
        body = render(program.expression, taken=[*(each.name for each in arguments), self._skeleton.function])
        record = next(owner_of(leaf) for leaf in leaves(arguments) if leaf.shape == "vector")
        scored = f"Score what `{record}` holds" if record else "Score every job"
        function = [
            f"def {self._skeleton.function}({', '.join(map(_parameter, arguments))}) -> np.ndarray:",
            f'    """{scored}; the lowest goes next."""',
            *(f"    {line}" for line in body),
        ]
        parts = [HEADER.format(operator=operator)]
        if program.parameters:
            parts.append("\n".join(f"{name} = {value}" for name, value in program.parameters.items()) + "\n")
        parts.append("\n" + "\n".join(function) + "\n")
        if self._skeleton.source:
            parts.append(f"\n{self._skeleton.source.strip()}\n")
        return "\n".join(parts)


def _bare(entry: Entry) -> Skeleton:
    """The skeleton of a problem whose answer is scores: nothing but the entry function."""
    if entry.driver == "interactive" and "score" not in entry.returns:
        reason = "it is asked by an interactive driver for something else than scores"
    elif entry.driver != "dispatch" and "permutation" in entry.returns:
        reason = "it returns a permutation, and the problem has no skeleton with a place for an expression"
    elif not any(value.shape == "vector" for value in entry.inputs):
        reason = "it has no vector argument"
    else:
        return Skeleton(function=entry.function, arguments=entry.arguments, source="")
    raise ValueError(
        f'the genetic proposer cannot write {entry.signature}: {reason}; use an LLM proposer (kind = "openai")'
    )


def _parameter(argument: Argument | Record) -> str:
    """An argument as a parameter with its type; that of a record has no name."""
    if isinstance(argument, Record):
        return argument.name
    return f"{argument.name}: {'np.ndarray' if argument.shape == 'vector' else 'float'}"


def _constants(source: str) -> dict[str, int]:
    """The whole-number constants a file defines at its top level."""
    return {
        name: value
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
        for name, value in _constant(statement)
    }


def _constant(statement: ast.Assign) -> Iterator[tuple[str, int]]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=int() as value)):
            yield name, value
