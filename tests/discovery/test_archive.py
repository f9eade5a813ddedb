import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from discovery.archive import CREATED, Archive, ArchiveError
from discovery.candidate import Candidate, Draft
from discovery.errors import UsageError
from discovery.proposers.base import Answer, Charge, Parent, Request
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict

DRAFT = Draft(0, 2, "mutate", (Parent("source", 0.5, "mdd"),))
TRAIN = Evaluation(Verdict.ok, "", (1.5, 0.1 + 0.2), 0.25, "sig", {"late": 0.5, "early": 0.1 + 0.2})
CANDIDATE = Candidate(
    DRAFT, "def f(): ...", Verdict.ok, "", 0.25, "sig", 0.5, {"train": TRAIN}, "an idea", "model", tokens=7
)
ANSWER = "Idea: an idea\n```python\ndef f(): ...\n```\n"


def created(folder: Path) -> Archive:
    """A run whose set-up was completed."""
    archive = Archive(folder / "r", "create")
    archive.event(CREATED)
    return archive


def record(archive: Archive, candidate: Candidate = CANDIDATE) -> None:
    """Everything the loop writes about one candidate."""
    draft = candidate.draft
    archive.add_request(draft, Request(draft.number, 0, draft.operator, draft.parents, "prompt"))
    archive.add_answer(draft.number, Answer(ANSWER, candidate.source, "model", 3, 4, 0.5, candidate.cost))
    archive.commit(candidate, elapsed=1.5)


def test_a_candidate_comes_back_as_it_went_in(tmp_path: Path) -> None:
    """Recalling by draft gives the committed candidate and the bit-exact evaluation, also after reopening."""
    with created(tmp_path) as archive:
        record(archive)
    with Archive(tmp_path / "r", "append") as archive:
        assert archive.recall(DRAFT) == CANDIDATE
        assert archive.evaluation("0", "train") == TRAIN
        assert archive.answer(0) == Answer(ANSWER, "def f(): ...", "model", 3, 4, 0.5, 0.5)
        assert (archive.committed(), archive.elapsed()) == (1, 1.5)
        assert archive.recall(replace(DRAFT, number=1)) is None


def test_committing_a_recalled_candidate_changes_nothing(tmp_path: Path) -> None:
    """On resume the loop commits what it recalled; the archive keeps the first record."""
    with created(tmp_path) as archive:
        record(archive)
        archive.commit(replace(CANDIDATE, score=99.0), elapsed=9.0)
        assert archive.query("SELECT score, elapsed FROM outcome") == [{"score": 0.25, "elapsed": 1.5}]


def test_another_draft_under_a_committed_number_is_refused(tmp_path: Path) -> None:
    """Resuming with a program or config that asks for something else must not mix two runs."""
    with created(tmp_path) as archive:
        archive.describe(version="0.1.0")
        record(archive)
        with pytest.raises(ArchiveError, match="resume with the version that started the run"):
            archive.recall(replace(DRAFT, operator="tune"))


@pytest.mark.parametrize(
    "statement", ["UPDATE outcome SET score = 0", "DELETE FROM answer", "UPDATE meta SET value = 1"]
)
def test_the_archive_is_append_only(tmp_path: Path, statement: str) -> None:
    """The database itself refuses to change or delete a row, whoever asks."""
    with created(tmp_path) as archive:
        record(archive)
    with (
        sqlite3.connect(tmp_path / "r" / "archive.db") as db,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        db.execute(statement)


def test_an_existing_run_folder_is_not_touched(tmp_path: Path) -> None:
    """Creating a run over an existing folder is bad usage; the message offers resume and another name."""
    created(tmp_path).close()
    with pytest.raises(UsageError, match=r"discover resume .*/r`.*--set run\.name"):
        Archive(tmp_path / "r", "create")


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    """While another process holds the run, appending is refused; reading is not."""
    created(tmp_path).close()
    script = (
        "import sys, time; from pathlib import Path; from discovery.archive import Archive;"
        f"archive = Archive(Path({str(tmp_path / 'r')!r}), 'append'); print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(ArchiveError, match="another process is working on the run"):
            Archive(tmp_path / "r", "append")
        with Archive(tmp_path / "r", "read") as archive:
            assert archive.committed() == 0
    finally:
        other.kill()
        other.wait()
    Archive(tmp_path / "r", "append").close()


def test_a_damaged_archive_is_named_with_a_remedy(tmp_path: Path) -> None:
    """Overwritten pages, and a file that is no database, give one sentence with the way out."""
    with created(tmp_path) as archive:
        record(archive)
    path = tmp_path / "r" / "archive.db"
    content = bytearray(path.read_bytes())
    content[:100] = b"x" * 100
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"is damaged .* restore it from a copy"):
        Archive(tmp_path / "r", "read")


def test_an_archive_locked_by_another_program_says_so(tmp_path: Path) -> None:
    """Someone holding the database open for writing gives a clear message after the busy time-out."""
    created(tmp_path).close()
    archive = Archive(tmp_path / "r", "append")
    archive._db.execute("PRAGMA busy_timeout = 50")
    blocker = sqlite3.connect(tmp_path / "r" / "archive.db")
    blocker.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(ArchiveError, match="locked by another program"):
        record(archive)
    assert time.monotonic() - started < 3
    blocker.close()
    record(archive)
    archive.close()


def test_a_full_disk_loses_nothing_committed(tmp_path: Path) -> None:
    """When SQLite cannot grow the file, the commit fails as a whole with a remedy, and what was there stays."""
    archive = created(tmp_path)
    record(archive)
    pages = archive._db.execute("PRAGMA page_count").fetchone()[0]
    archive._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(ArchiveError, match=r"disk is full.*discover resume"):
        for number in range(1, 2000):
            record(archive, replace(CANDIDATE, draft=replace(DRAFT, number=number), source="x" * 500))
    kept = archive.committed()
    archive.close()
    with Archive(tmp_path / "r", "append") as archive:
        assert archive.committed() == kept >= 1
        assert archive.query("SELECT count(*) AS n FROM evaluation") == [{"n": kept}]


def test_a_folder_without_a_run_is_bad_usage(tmp_path: Path) -> None:
    """Opening something that is no run names the folder."""
    with pytest.raises(UsageError, match="holds no run"):
        Archive(tmp_path, "read")


@pytest.mark.parametrize("mode", ["read", "append"])
def test_an_interrupted_set_up_is_said_and_not_resumed(tmp_path: Path, mode: str) -> None:
    """A run killed before its set-up was complete never began; the way out is named."""
    Archive(tmp_path / "r", "create").close()
    with pytest.raises(UsageError, match=r"set-up of .* was interrupted; remove the folder"):
        Archive(tmp_path / "r", mode)  # type: ignore[arg-type]
    (tmp_path / "r" / "archive.db").write_bytes(b"")
    with pytest.raises(UsageError, match=r"set-up of .* was interrupted"):
        Archive(tmp_path / "r", mode)  # type: ignore[arg-type]


LATER_TABLES = ("call", "settled", "report")
"""Tables that archives of earlier versions lack."""


def age(folder: Path) -> None:
    """Make a run's archive one of an earlier version: without the tables of calls, and without an id."""
    with sqlite3.connect(folder / "archive.db") as db:
        db.execute("DROP TRIGGER meta_no_DELETE")
        db.execute("DELETE FROM meta WHERE name = 'id'")
        for table in LATER_TABLES:
            db.execute(f"DROP TABLE {table}")
    db.close()


def test_an_archive_of_an_earlier_version_is_read_and_gone_on_with(tmp_path: Path) -> None:
    """Without tables of calls, and without an id: reading changes nothing, appending makes the tables."""
    with created(tmp_path) as archive:
        record(archive)
    age(tmp_path / "r")
    with Archive(tmp_path / "r", "read") as archive:
        assert (archive.committed(), archive.id, archive.open_requests()) == (1, "r", [])
        assert archive.evaluation("0", "train") == replace(TRAIN, reports={})
        assert archive.query("SELECT name FROM sqlite_master WHERE name = 'call'") == []
    with Archive(tmp_path / "r", "append") as archive:
        assert archive.calls() == []
        call = archive.add_call(1, "m", archive.call_key(1, "m", idempotent=True), Charge(5, 0.5))
        archive.settle(call, "rejected", Charge(), "no", 0.0)
        assert archive.calls()[0].outcome == "rejected"
    with (
        sqlite3.connect(tmp_path / "r" / "archive.db") as db,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        db.execute("DELETE FROM call")


def test_an_answer_and_its_settlement_are_one_step(tmp_path: Path) -> None:
    """If either cannot be written, neither is: a second answer leaves its call open."""
    with created(tmp_path) as archive:
        record(archive)
        archive.add_call(0, "m", "key", Charge(5, 0.5))
        call = archive.open_call(0)
        assert call is not None
        with pytest.raises(ArchiveError, match="what is committed is never changed"):
            archive.add_answer(0, Answer("second", None, "m", 1, 1, call=call))
        assert archive.open_call(0) == call
        assert archive.answer(0).text == ANSWER  # type: ignore[union-attr]


def test_calls_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    """Keys hold the run's id, the candidate and a count; a call is found by its key, and whether it has ended."""
    with created(tmp_path) as archive:
        keys = []
        for number, model in ((0, "a"), (0, "a"), (1, "a")):
            keys.append(archive.call_key(number, model, idempotent=False))
            archive.add_call(number, model, keys[-1], Charge(5, 0.5))
        assert keys == [f"{archive.id}-0-0", f"{archive.id}-0-1", f"{archive.id}-1-0"]
        found = archive.find_call(keys[1])
        assert found is not None
        assert (found[0].number, found[0].most, found[1]) == (0, Charge(5, 0.5), False)
        archive.settle(found[0].id, "unusable", Charge(3, 0.25), "", 0.0)
        assert archive.find_call(keys[1]) == (found[0], True)
        assert archive.open_call(0).key == keys[0]  # type: ignore[union-attr]
        assert archive.find_call("nothing") is None
        assert [record.charge.tokens for record in archive.calls()] == [5, 3, 5]


@pytest.mark.parametrize(
    ("outcomes", "same"),
    [
        ([None], True),
        (["lost"], True),
        (["unreachable"], True),
        (["lost", "rejected"], True),
        (["rejected"], False),
        (["unusable"], False),
        (["lost", "unusable"], False),
    ],
)
def test_a_key_is_used_again_only_for_what_may_be_under_way(
    tmp_path: Path, outcomes: list[str | None], same: bool
) -> None:
    """A call of unknown outcome is sent again under its key, where the endpoint knows keys; what has ended is not."""
    with created(tmp_path) as archive:
        for outcome in outcomes:
            key = archive.call_key(0, "a", idempotent=True)
            call = archive.add_call(0, "a", key, Charge(5, 0.5))
            if outcome is not None:
                archive.settle(call, outcome, Charge(), "", 0.0)  # type: ignore[arg-type]
        assert (archive.call_key(0, "a", idempotent=True) == key) == same
        assert archive.call_key(0, "a", idempotent=False) != key
        assert archive.call_key(0, "another", idempotent=True) != key


def test_half_a_surrogate_pair_from_outside_can_be_kept(tmp_path: Path) -> None:
    """What an endpoint says may hold one, and no text in a file can: it is replaced, not a crash."""
    with created(tmp_path) as archive:
        archive.event("paused", "said \ud800")
        call = archive.add_call(0, "a", "key", Charge())
        archive.settle(call, "rejected", Charge(), "said \udfff", 0.0)
        assert archive.query("SELECT detail FROM settled") == [{"detail": "said ?"}]
