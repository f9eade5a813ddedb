"""A problem whose trusted scorer kills its own process: stands for a machine that fails."""

import os

from problems.base import Array, Instance
from problems.smtt.problem import SmttDispatch


class Deadly(SmttDispatch):
    """SMTT dispatching with a deadly scorer."""

    name = "deadly"

    def cost(self, instance: Instance, decision: Array) -> float:
        """Never returns."""
        os._exit(9)
