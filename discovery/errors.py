"""Errors a user can do something about: one sentence each, and the exit code that goes with it."""

from __future__ import annotations


class DiscoverError(Exception):
    """The job failed (exit code 1); the message says what, where, the value and the remedy."""


class UsageError(DiscoverError):
    """The command line or a config is wrong (exit code 2)."""
