"""The discovery loop and its face: config, loop, population, proposers, archive, leaderboard, command line."""

__version__ = "0.2.0"
