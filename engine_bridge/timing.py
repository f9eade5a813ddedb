"""How long a policy takes to answer."""

from __future__ import annotations

from time import perf_counter

from engine_bridge.policy import Array, Policy, View


class Timed:
    """A policy as it is, with the wall time of its answers in `seconds`; invalid ones count as well."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.functions = policy.functions
        self.seconds = 0.0

    def ask(self, function: str, view: View) -> Array:
        """The policy's answer; what it raises passes."""
        start = perf_counter()
        try:
            return self._policy.ask(function, view)
        finally:
            self.seconds += perf_counter() - start
