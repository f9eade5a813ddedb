"""Errors of problems, in a module that imports nothing: leaderboards start without NumPy."""

from __future__ import annotations


class InstanceError(ValueError):
    """An instance breaks a rule of its problem; the message names the instance, the rule and the value."""


class ProblemError(RuntimeError):
    """A problem's own code failed or gave something impossible; the message names the problem and the place."""


class InvalidDecision(ValueError):
    """A heuristic's answer is not a decision of the problem; the message says what is wrong with it."""


class Unanswered(Exception):
    """A question put to a heuristic got no answer: its own fault, or the sandbox's; a problem's code lets it pass."""
