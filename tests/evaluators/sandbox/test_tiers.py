"""Which isolation there is, what may be said of it, and that a run refuses less than it was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluators.sandbox import landlock
from evaluators.sandbox.sealed import sealed
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.tiers import ALL, CLAIMS, NEEDED, IsolationUnavailable, Layer, Tier, check, tier_of
from evaluators.verdict import InfrastructureError

ROOT = Path(__file__).parents[3]
linux = pytest.mark.skipif(sys.platform != "linux", reason="the seal is Linux's")


def test_a_tier_needs_all_its_layers() -> None:
    """Whatever layer is missing, the tier is the strongest that has none missing; the limits alone are the least."""
    assert tier_of(ALL) is Tier.full
    assert tier_of(ALL & ~Layer.NAMESPACES) is Tier.no_namespaces
    for layer in (Layer.LANDLOCK, Layer.SECCOMP, Layer.LIMITS):
        assert tier_of(ALL & ~layer) is Tier.rlimits_only
    assert tier_of(Layer(0)) is Tier.rlimits_only
    assert NEEDED[Tier.no_namespaces] in NEEDED[Tier.full]


def test_claims_say_no_more_than_is_held() -> None:
    """Each claim sends hostile code to a VM, and none uses a word that promises what a shared kernel cannot."""
    for tier in Tier:
        assert tier.claim == CLAIMS[tier]
        assert "VM" in tier.claim and "not protection" in tier.claim.lower()
        assert not {"secure", "unhackable", "safe", "guarantee"} & set(tier.claim.lower().replace(".", " ").split())
    assert "network" not in Tier.rlimits_only.claim


@pytest.mark.parametrize("least", list(Tier))
@pytest.mark.parametrize("tier", list(Tier))
def test_less_than_asked_for_is_refused(tier: Tier, least: Tier) -> None:
    """A weaker tier raises one sentence that names both tiers and a remedy; an equal or stronger one passes."""
    if list(Tier).index(tier) >= list(Tier).index(least):
        check(tier, least)
        return
    with pytest.raises(IsolationUnavailable) as caught:
        check(tier, least)
    assert f"'{tier}'" in str(caught.value) and f"'{least}'" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("layers", [ALL & ~Layer.NAMESPACES, Layer.PRIVILEGES | Layer.LIMITS])
def test_a_sandbox_refuses_to_start_below_its_minimum(layers: Layer) -> None:
    """Without the layers, asking for the full tier fails at once, and nothing is left running."""
    with pytest.raises(IsolationUnavailable):
        Sandbox(min_tier="full", layers=layers)
    with Sandbox(layers=layers) as sandbox:
        assert sandbox.tier is not Tier.full


def test_unknown_tiers_are_refused() -> None:
    """A misspelt minimum is no minimum of nothing."""
    with pytest.raises(ValueError, match="fulll"):
        Sandbox(min_tier="fulll")


def test_a_replaced_zygote_is_as_strong_as_the_first() -> None:
    """When the machine turns weaker in the middle of a run, no candidate runs in less than the run's record says."""
    with Sandbox() as sandbox:
        if sandbox.tier is Tier.rlimits_only:
            pytest.skip("there is no weaker tier")
        sandbox._wanted = Layer.LIMITS
        assert sandbox.zygote_pid is not None
        os.kill(sandbox.zygote_pid, 9)
        with pytest.raises(InfrastructureError, match="offers isolation 'rlimits-only'"):
            sandbox.open("def f(): return 1")


REAL_DENIAL = """
import numpy as np
from pathlib import Path
Path("/proc/sys/user/max_user_namespaces").write_text("0")
from evaluators.sandbox.supervisor import Sandbox
with Sandbox() as sandbox, sandbox.open("def f(x): return x") as session:
    print(sandbox.tier, session.ask("f", [np.array([7])]))
"""


@linux
def test_a_machine_that_denies_namespaces() -> None:
    """Where the kernel itself refuses further namespaces, the tier is found to be lower and all the rest works."""
    enter = ["unshare", "--user", "--map-root-user", "--mount", "--"]
    with Sandbox() as sandbox:
        tier = sandbox.tier
    if tier is not Tier.full or subprocess.run([*enter, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces to deny")
    result = subprocess.run(
        [*enter, sys.executable, "-c", REAL_DENIAL],
        cwd=ROOT, env={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.stdout == "no-namespaces [7]\n", result.stderr


@linux
@pytest.mark.parametrize(("version", "words"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3), (9, 3)])
def test_landlock_denies_all_that_each_version_knows(version: int, words: int) -> None:
    """Older kernels get a shorter request; one bit too many and they would refuse it all."""
    files, *others = landlock.rules(version)
    assert files == (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    assert (len(others) + 1, set(others)) == (words, {3} if others else set())


@linux
def test_what_the_kernel_says_of_a_sealed_candidate() -> None:
    """From outside: no capability, no new privilege, a filter, a root that is empty and cannot be written."""
    with Sandbox() as sandbox, sandbox.open("def f(x): return x") as session:
        if sandbox.tier is not Tier.full:
            pytest.skip(f"this machine offers {sandbox.tier}")
        proc = Path("/proc", str(session.pid))
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        assert {int(status[kind], 16) for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {0}
        assert (status["NoNewPrivs"], status["Seccomp"], status["Threads"]) == ("1", "2", "1")
        assert "0" not in status["Uid"].split()
        assert status["NSpid"].split()[0] == str(session.pid) and len(status["NSpid"].split()) >= 2
        mounts = (proc / "mounts").read_text().splitlines()
        assert len(mounts) == 1 and " / tmpfs ro,nosuid,nodev,noexec" in mounts[0]
        if os.geteuid() == 0:
            assert list((proc / "root").iterdir()) == []
            for kind in ("user", "mnt", "pid", "ipc", "uts", "net", "cgroup"):
                assert (proc / "ns" / kind).readlink() != Path("/proc/self/ns", kind).readlink()


@linux
def test_the_source_is_sealed() -> None:
    """The file that carries the source cannot be changed by either side any more."""
    descriptor = sealed(b"def f(): pass")
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    assert os.read(descriptor, 100) == b"def f(): pass"
    os.close(descriptor)


@pytest.mark.parametrize("layers", [ALL, ALL & ~Layer.NAMESPACES, Layer.PRIVILEGES | Layer.LIMITS])
def test_escaped_processes_are_ended(layers: Layer) -> None:
    """A zygote that may have strays around it reaps them with the candidate, in every tier."""
    source = "import os, time\ndef f(x):\n    pid = os.fork()\n    if pid == 0:\n        os.setsid()\n"
    source += "        if os.fork(): os._exit(0)\n        time.sleep(100)\n    os.waitpid(pid, 0)\n    return pid"
    with Sandbox(layers=layers & ~Layer.SECCOMP & ~Layer.LIMITS) as sandbox:
        with sandbox.open(source) as session:
            session.ask("f", [np.array([1])])
        assert sandbox.zygote_pid is not None
        tasks = Path(f"/proc/{sandbox.zygote_pid}/task/{sandbox.zygote_pid}/children")
        assert tasks.read_text() == ""
