"""Leaves: what of an entry function's arguments may stand in an expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from problems.base import Argument, Record


def leaves(arguments: Sequence[Argument | Record]) -> tuple[Argument, ...]:
    """The values an expression may use, under the names by which code reaches them: `p`, `requests.prompt`.

    An expression gives one number for each element of a vector, so all its vectors must go together: they are the
    plain vector arguments or, where there is none, the vectors of the first record that has any. The vectors of
    other records may have another length and are left out; scalars are in, whatever they belong to.
    """
    every = [leaf for argument in arguments for leaf in _of(argument)]
    owners = [owner_of(leaf) for leaf in every if leaf.shape == "vector"]
    owner = "" if "" in owners else next(iter(owners), "")
    return tuple(leaf for leaf in every if leaf.shape == "scalar" or owner_of(leaf) == owner)


def owner_of(leaf: Argument) -> str:
    """Name of the record a leaf belongs to; empty for a plain argument."""
    return leaf.name.rpartition(".")[0]


def _of(argument: Argument | Record) -> Iterator[Argument]:
    if isinstance(argument, Argument):
        yield argument
    else:
        yield from (replace(field, name=f"{argument.name}.{field.name}") for field in argument.fields)
