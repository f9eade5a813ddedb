"""How strongly candidates are kept apart from the machine, and what may be claimed for it."""

from __future__ import annotations

from enum import Flag, StrEnum, auto


class Layer(Flag):
    """One means of the kernel's; each is used where the machine has it. `tests/attacks` shows what each stops."""

    PRIVILEGES = auto()
    """Not root, without capabilities; nobody else may look into the process."""
    NAMESPACES = auto()
    """An empty root folder, no network, no other processes."""
    LANDLOCK = auto()
    """No files, whatever the root folder holds."""
    SECCOMP = auto()
    """Only the system calls that computing needs."""
    LIMITS = auto()
    """CPU time, memory, files and processes, by `setrlimit(2)`."""


ALL = ~Layer(0)


class Tier(StrEnum):
    """What the layers that a machine has amount to, weakest first.

    A layer more than a tier needs is used all the same: a tier is the least that may be relied on.
    """

    rlimits_only = "rlimits-only"
    no_namespaces = "no-namespaces"
    full = "full"

    @property
    def strength(self) -> int:
        """0 for the weakest tier, 1 for the next."""
        return list(Tier).index(self)

    @property
    def claim(self) -> str:
        """What may be said of a run in this tier."""
        return CLAIMS[self]


NEEDED = {
    Tier.full: Layer.NAMESPACES | Layer.LANDLOCK | Layer.SECCOMP | Layer.LIMITS,
    Tier.no_namespaces: Layer.LANDLOCK | Layer.SECCOMP | Layer.LIMITS,
}

_SEALED = (
    "On supported Linux, candidates run without network, file writes, new processes or access to evaluator memory; "
    "only validated decisions are scored; the active tier is shown. "
)
_LIMITED = "Resource limits only: only validated decisions are scored; the active tier is shown. "
_CAVEAT = (
    "Defence in depth on a shared kernel: not protection against kernel exploits or side channels, "
    "nor against overfitting. For hostile code, use a VM."
)
CLAIMS = {
    Tier.full: _SEALED + _CAVEAT,
    Tier.no_namespaces: _SEALED + _CAVEAT,
    Tier.rlimits_only: _LIMITED + "Not protection against hostile code. For hostile code, use a VM.",
}
REMEDIES = {
    Tier.full: "allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.apparmor_restrict_unprivileged_userns; in Docker another seccomp profile)",
    Tier.no_namespaces: "use Linux 5.13 or later on x86-64 or aarch64 with Landlock and seccomp enabled",
}


class IsolationUnavailable(RuntimeError):
    """The machine cannot give the isolation that was asked for."""


def tier_of(layers: Layer) -> Tier:
    """The strongest tier of which every layer is there."""
    return next((tier for tier, needed in NEEDED.items() if needed in layers), Tier.rlimits_only)


def check(tier: Tier, at_least: Tier) -> None:
    """Refuse a tier that is weaker than another.

    Raises:
        IsolationUnavailable: in one sentence, with the remedy.
    """
    if tier.strength < at_least.strength:
        raise IsolationUnavailable(
            f"this machine offers isolation '{tier}', but '{at_least}' is the least that is accepted: "
            f"{REMEDIES[at_least]}, or accept '{tier}'"
        )
