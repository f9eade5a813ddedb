"""The assembled filter, run by an interpreter of its language, for both architectures."""

from __future__ import annotations

import errno
import struct

import pytest

from evaluators.sandbox import kernel, seccomp
from evaluators.sandbox.syscalls import AUDIT, NUMBERS

ARCHITECTURES = sorted(NUMBERS)


def decide(program: bytes, number: int, architecture: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would answer to a system call; as `seccomp(2)` describes the machine."""
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator = place = 0
    while True:
        what, if_true, if_false, constant = code[place]
        place += 1
        if what == seccomp.RETURN:
            return constant
        if what == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif what == seccomp.JUMP:
            place += constant
        else:
            equal = accumulator == constant if what == seccomp.JUMP_EQUAL else bool(accumulator & constant)
            place += if_true if equal else if_false


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_every_number_gets_its_answer(machine: str) -> None:
    """Of all numbers, those on the lists get what the lists say and every other one ends the process."""
    program, numbers = seccomp.program(machine), NUMBERS[machine]
    answers = {numbers[name]: seccomp.ALLOW for name in seccomp.ALLOWED if name in numbers}
    for error, names in seccomp.REFUSED.items():
        answers |= {numbers[name]: seccomp.ERRNO | error for name in names if name in numbers}
    conditional = {numbers[name] for name in ("mmap", "mprotect", "fcntl", "prlimit64")}
    for number in [*range(600), 0x40000000, 0x40000027, 0xFFFFFFFF]:
        if number not in conditional:
            assert decide(program, number, AUDIT[machine]) == answers.get(number, seccomp.KILL_PROCESS), number


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("mmap", (0, 4096, 3, 0x22), seccomp.ALLOW),
        ("mmap", (0, 4096, 7, 0x22), seccomp.ERRNO | errno.EACCES),
        ("mprotect", (0, 4096, 1), seccomp.ALLOW),
        ("mprotect", (0, 4096, 4), seccomp.ERRNO | errno.EACCES),
        ("fcntl", (3, 1), seccomp.ALLOW),
        ("fcntl", (3, 3), seccomp.ALLOW),
        ("fcntl", (3, 4), seccomp.ERRNO | errno.EPERM),
        ("prlimit64", (0, 7, 0, 1 << 40), seccomp.ALLOW),
        ("prlimit64", (0, 7, 1 << 40, 0), seccomp.ERRNO | errno.EPERM),
        ("prlimit64", (1, 7, 0, 0), seccomp.ERRNO | errno.EPERM),
    ],
)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], answer: int) -> None:
    """No memory becomes code, no flag and no limit changes; both halves of an argument count."""
    program = seccomp.program(machine)
    assert decide(program, NUMBERS[machine][name], AUDIT[machine], arguments) == answer


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_another_architecture_end_the_process(machine: str) -> None:
    """The numbers mean something else there: 32-bit calls, and those of the other machine."""
    program = seccomp.program(machine)
    for architecture in {*AUDIT.values(), 0x40000003, 0x40000028, 0} - {AUDIT[machine]}:
        assert all(decide(program, number, architecture) == seccomp.KILL_PROCESS for number in range(600))


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_jumps_stay_inside(machine: str) -> None:
    """Every jump goes forward and ends before the program does, and the last instruction returns."""
    code = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    assert code[-1][0] == seccomp.RETURN and len(code) < 4096
    for place, (what, if_true, if_false, constant) in enumerate(code):
        furthest = constant if what == seccomp.JUMP else max(if_true, if_false)
        assert what in (seccomp.LOAD, seccomp.RETURN) or place + 1 + furthest < len(code)


def test_unknown_architectures_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a table there is no filter, rather than a wrong one; the sandbox then has a weaker tier."""
    with pytest.raises(kernel.UnknownArchitecture, match="riscv64"):
        seccomp.program("riscv64")
    monkeypatch.setattr(kernel.os, "uname", lambda: type("Names", (), {"machine": "riscv64"}))
    assert not seccomp.is_available()


def test_the_tables_agree_with_the_headers() -> None:
    """No number stands for two calls, and the architectures share the names that both have."""
    for numbers in NUMBERS.values():
        assert len(set(numbers.values())) == len(numbers)
    only_old = set(NUMBERS["x86_64"]) - set(NUMBERS["aarch64"])
    assert only_old == {"access", "dup2", "lstat", "open", "readlink", "stat", "time"}
    assert set(NUMBERS["aarch64"]) <= set(NUMBERS["x86_64"])
