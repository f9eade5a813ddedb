"""Every attack in `corpus` against no protection, against each layer that should stop it alone, and against all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from evaluators.sandbox import landlock
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.tiers import ALL, Layer, Tier
from evaluators.verdict import Verdict
from tests.attacks.lab import Lab
from tests.attacks.toy import Quick

CORPUS = Path(__file__).parent / "corpus"
BASE = ("process", "wire", "scorer", "repeat", "text")
"""What needs nothing of the kernel: a process of its own, started clean and measured from outside; frames of
numbers; a scorer that checks; asking again; texts made harmless."""
NONE = Layer(0)
OLDEST_LANDLOCK = {"network/tcp": 4, "network/tcp_listen": 4, "network/abstract": 6, "escape/signal_a_neighbour": 6}
HEADER = re.compile(r"# Tries to .+; stopped by .+\.\n# verdict: (\w+);( accepted;)? alone: ([a-z ]+)\n")
SandboxWith = Callable[[Layer], Sandbox]


class Attack(NamedTuple):
    """One file of the corpus. `alone` names what stops it even if nothing else does."""

    name: str
    path: Path
    verdict: str
    accepted: bool
    alone: tuple[str, ...]

    @property
    def allowance(self) -> Quick:
        """Its limits: it need not be waited for for long, if it does nothing but wait."""
        return Quick(wall_seconds=1) if self.verdict == Verdict.wall_timeout else Quick()


def read(path: Path) -> Attack:
    """An attack, by what its first lines say."""
    header = HEADER.match(path.read_text())
    assert header, f"{path} does not begin with what it tries and what stops it"
    name = str(path.relative_to(CORPUS).with_suffix(""))
    return Attack(name, path, header[1], bool(header[2]), tuple(header[3].split()))


ATTACKS = [read(path) for path in sorted(CORPUS.rglob("*.py"))]
LAYERED = [attack for attack in ATTACKS if not set(attack.alone) & set(BASE)]
ALONE = [(attack, Layer[name.upper()]) for attack in LAYERED for name in attack.alone]


def name(value: object) -> str:
    """How a test's parameter is shown."""
    return value.name if isinstance(value, Attack) else str(value.name if isinstance(value, Layer) else value)


def test_the_corpus_covers_everything() -> None:
    """At least sixty attacks; each group has some; each layer, and each thing beside, stops one alone."""
    assert len(ATTACKS) >= 60
    groups = {attack.name.split("/")[0] for attack in ATTACKS}
    assert groups == {
        *("secrets", "network", "persistence", "escape", "exhaustion", "forging", "tampering", "memory", "prompts")
    }
    stops = Counter(means for attack in ATTACKS for means in attack.alone)
    assert set(stops) == {*BASE, *(layer.name.lower() for layer in Layer if layer.name)}


@pytest.mark.parametrize("attack", ATTACKS, ids=name)
def test_succeeds_without_protection(lab: Lab, attack: Attack) -> None:
    """No attack is a dud: an ordinary evaluator falls to each."""
    assert lab.fell(lab.unprotected(lab.source(attack.path)), accepted=attack.accepted)


@pytest.mark.parametrize("tier", [Tier.full, Tier.no_namespaces])
@pytest.mark.parametrize("attack", ATTACKS, ids=name)
def test_fails_in_the_seal(lab: Lab, sandbox_with: SandboxWith, attack: Attack, tier: Tier) -> None:
    """With and without namespaces: the right verdict, nothing gained, and an honest score as ever after it."""
    sandbox = sandbox_with(ALL if tier is Tier.full else ALL & ~Layer.NAMESPACES)
    if sandbox.tier is not tier:
        pytest.skip(f"this machine offers {sandbox.tier}")
    outcome = lab.sealed(lab.source(attack.path), sandbox, attack.allowance)
    assert outcome.verdict == attack.verdict, outcome
    assert not lab.fell(outcome, accepted=attack.accepted), outcome


@pytest.mark.parametrize("attack", LAYERED, ids=name)
def test_succeeds_without_layers(lab: Lab, sandbox_with: SandboxWith, attack: Attack) -> None:
    """What the kernel is needed for gets through to a process of its own that no layer holds."""
    outcome = lab.sealed(lab.source(attack.path), sandbox_with(NONE), attack.allowance)
    assert lab.fell(outcome, accepted=attack.accepted), outcome


@pytest.mark.parametrize(("attack", "layer"), ALONE, ids=name)
def test_one_layer_is_enough(lab: Lab, sandbox_with: SandboxWith, attack: Attack, layer: Layer) -> None:
    """Each layer that is said to stop an attack stops it when it is the only one."""
    if layer is Layer.LANDLOCK and landlock.version() < OLDEST_LANDLOCK.get(attack.name, 1):
        pytest.skip(f"Landlock {landlock.version()} cannot")
    outcome = lab.sealed(lab.source(attack.path), sandbox_with(layer), attack.allowance)
    assert not lab.fell(outcome, accepted=attack.accepted), outcome


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack not in LAYERED], ids=name)
def test_no_layer_is_needed(lab: Lab, sandbox_with: SandboxWith, attack: Attack) -> None:
    """What is stopped by how candidates are asked and scored is stopped in the weakest tier too."""
    outcome = lab.sealed(lab.source(attack.path), sandbox_with(NONE), attack.allowance)
    assert not lab.fell(outcome, accepted=attack.accepted), outcome
