"""Making the proposer a config asks for; the imports of each are paid only by those who use it."""

from __future__ import annotations

from discovery.errors import UsageError
from discovery.proposers.base import Proposer
from discovery.proposers.settings import BatchProposer, OpenAIProposer, ReplayProposer, Settings
from discovery.proposers.tuning import WithTuning
from problems.base import Problem


def make_proposer(settings: Settings, problem: Problem) -> Proposer:
    """The proposer of a config.

    Raises:
        UsageError: it does not fit the problem, a key is missing, or there is no such recording.
    """
    if isinstance(settings, OpenAIProposer):
        from discovery.proposers.openai import OpenAI

        return WithTuning(OpenAI(settings, problem.entry.function))
    if isinstance(settings, BatchProposer):
        from discovery.proposers.batch import Batch

        return WithTuning(Batch(settings))
    if isinstance(settings, ReplayProposer):
        from discovery.proposers.replay import Replay

        return Replay(settings.run)
    from discovery.proposers.genetic import Genetic

    try:
        return Genetic(problem.entry, problem.skeleton)
    except ValueError as error:
        raise UsageError(str(error)) from error
