"""What a server says of itself in Prometheus' text format, as far as it concerns scheduling.

vLLM's own counters; and those of an exported policy (`scheduling_policy_…`), where the server runs one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\d+)?$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')

KV_USE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
"""Share of the KV blocks held; the second is the name in older versions."""
FALLBACKS = "scheduling_policy_fallbacks_total"
"""Answers of an exported policy that were done without, by function and reason."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading: sums over all labels by sample name; answers done without, by reason."""

    sums: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, float] = field(default_factory=dict)

    def get(self, *names: str) -> float | None:
        """The first of `names` there is."""
        return next((self.sums[name] for name in names if name in self.sums), None)


def parse(text: str) -> Scrape:
    """The samples of a page of metrics; lines that are none are passed over."""
    sums: dict[str, float] = {}
    reasons: dict[str, float] = {}
    for line in text.splitlines():
        found = None if line.startswith("#") else _SAMPLE.match(line)
        if found is None:
            continue
        name, labels, value = found.groups()
        try:
            number = float(value)
        except ValueError:
            continue
        sums[name] = sums.get(name, 0.0) + number
        if name == FALLBACKS:
            reason = dict(_LABEL.findall(labels or "")).get("reason", "unnamed")
            reasons[reason] = reasons.get(reason, 0.0) + number
    return Scrape(sums, reasons)


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two readings of one server; None where it does not say."""

    before: Scrape
    after: Scrape

    def count(self, *names: str) -> int | None:
        """How much a counter has grown."""
        first, last = self.before.get(*names), self.after.get(*names)
        if last is None:
            return None
        return max(0, round(last - (first or 0.0)))

    def seconds(self, name: str) -> float | None:
        """The same for a sum of seconds."""
        last = self.after.get(name)
        return None if last is None else max(0.0, last - (self.before.get(name) or 0.0))

    def reasons(self) -> dict[str, int]:
        """Steps in which the policy's answer was done without, by reason."""
        return {
            reason: round(grown)
            for reason, number in self.after.reasons.items()
            if (grown := number - self.before.reasons.get(reason, 0.0)) > 0
        }
