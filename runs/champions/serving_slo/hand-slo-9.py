# Idea: the largest set of prompts that can still make their first token goes first, the others not much later; decodes that can wait leave the step to prompts under way.
from heapq import heappop, heappush

import numpy as np

STEP, SHARE, WAIT = 448, 0.6, 0.45
LATER = 1.0


class Pace:
    """How fast recent steps were, from how far those that run have come."""

    def __init__(self):
        self.now, self.step, self.token, self.computed = -1.0, 0.01, 2.5e-5, {}

    def see(self, view):
        if view.now < self.now:
            self.__init__()
        running = view.is_running > 0
        computed = dict(zip(view.id[running].tolist(), view.computed[running].tolist(), strict=True))
        if view.now > self.now and view.last_step > 0:
            tokens = sum(count - self.computed.get(each, count) for each, count in computed.items())
            self.step += 0.1 * (view.last_step - self.step)
            if tokens >= 256:  # shorter steps wait for the weights, whatever they hold
                self.token += 0.1 * (view.last_step / tokens - self.token)
        self.now, self.computed = view.now, computed


PACE = Pace()


def decoding(view):
    return (view.output > 0) & (view.prompt + view.output - view.computed == 1)


def in_time(seconds, left):
    """The largest set that meets all deadlines if one goes after the other (Moore and Hodgson)."""
    keep, t, longest = np.zeros(len(left), dtype=bool), 0.0, []
    for k in np.argsort(left, kind="stable").tolist():
        heappush(longest, (-seconds[k], k))
        t += seconds[k]
        if t > left[k]:
            t += heappop(longest)[0]
    keep[[k for _, k in longest]] = True
    return keep


def urgency(view):
    """Time left and five times the work; for prompts that others would have to be late for, twice the objective instead."""
    work = (view.prompt + view.output - view.computed - view.cached) * PACE.token
    left = view.ttft_due - view.now
    hopeful = in_time(1.25 * work, left) & (view.output == 0)
    return 5 * work + np.where(hopeful, left, LATER * (view.ttft_due - view.arrival))


def rank_waiting(view):
    return urgency(view)


def rank_running(view):
    """Decodes that must go, prompts under way, then the other decodes, which wait if prompts fill the step."""
    latest = view.last + WAIT * view.tpot - 2 * PACE.step
    return np.where(decoding(view), latest + np.where(latest <= view.now, -1e9, 1e9), urgency(view))


def token_budget(view):
    """No step longer than a part of what decodes may take for a token, and 512 tokens at most."""
    PACE.see(view)
    decodes = decoding(view) & (view.is_running > 0)
    if not decodes.any():
        return view.max_tokens
    return float(np.clip(SHARE * view.tpot[decodes].min() / PACE.token, 128, min(STEP, view.max_tokens)))
