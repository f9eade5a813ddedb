"""Errors of problems, in a module that imports nothing: leaderboards start without NumPy."""

from __future__ import annotations


class InstanceError(ValueError):
    """An instance breaks a rule of its problem; the message names the instance, the rule and the value."""


class ProblemError(RuntimeError):
    """A problem's own code failed or gave something impossible; the message names the problem and the place."""


class InvalidDecision(ValueError):
    """A heuristic's answer is not a decision of the problem; the message says what is wrong with it."""
