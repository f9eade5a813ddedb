"""The expression language of the genetic proposer: typed trees, simplified, read from and written as Python.

A tree stands for a NumPy expression over the arguments of an entry function and the fields of its records. Its
sort, computed bottom-up, is a shape (one value per job, or one number) and a sign. Signs keep the language closed:
a denominator must be positive and a root or a decay nonnegative, so no guard against NaN or infinity is ever needed.

`tree` is the language, `leaves` what its trees end in; `simplifying`, `reading`, `writing` and `growing` each do
one thing with it.
"""

from discovery.proposers.expressions.growing import Grower, lifted
from discovery.proposers.expressions.leaves import leaves, owner_of
from discovery.proposers.expressions.reading import parse
from discovery.proposers.expressions.simplifying import simplify, tidy
from discovery.proposers.expressions.tree import (
    ANY,
    NONNEGATIVE,
    ONE,
    OPERATORS,
    POSITIVE,
    ZERO,
    Node,
    Position,
    Sign,
    constant,
    evaluate,
    make,
    positions,
    replace,
    transform_constants,
    variable,
)
from discovery.proposers.expressions.writing import WIDTH, render

__all__ = [
    "ANY",
    "NONNEGATIVE",
    "ONE",
    "OPERATORS",
    "POSITIVE",
    "WIDTH",
    "ZERO",
    "Grower",
    "Node",
    "Position",
    "Sign",
    "constant",
    "evaluate",
    "leaves",
    "lifted",
    "make",
    "owner_of",
    "parse",
    "positions",
    "render",
    "replace",
    "simplify",
    "tidy",
    "transform_constants",
    "variable",
]
