"""The archive of a run: an append-only SQLite journal of all that was asked, answered, judged and measured."""

from __future__ import annotations

import fcntl
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, astuple, dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from discovery.candidate import Candidate, Draft
from discovery.engine_scores import EngineReplay, EngineScore
from discovery.errors import DiscoverError, UsageError
from discovery.ledger import CallRecord
from discovery.proposers.base import Answer, Call, Charge, Outcome, Request
from discovery.proposers.thought import thought_in
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict

if TYPE_CHECKING:  # NumPy takes a while to import, and a leaderboard does not need it
    from problems.base import Bound, Instance

SCHEMA_VERSION = "1"
AMENDED = "amended"
"""The event that holds a changed config."""
CREATED = "created"
"""The event that ends the set-up of a run; without it the run never began."""
LEARNED = "learned"
"""The event that holds what a search has learnt, when it ends: see `Population.learned`."""
BEFORE: dict[str, dict[str, Any]] = {
    "run": {"champions": False},
    "search": {"cells": 0.0, "bandit": False, "same_code": False},
}
"""What runs did before there was a setting for it: so they are resumed and replayed as they began."""
BEFORE_MODELS = {"lessons": 0, "weakness": False, "reflection": False, "thoughts": False}
"""The same, where the proposer asks models."""
BEFORE_LEVEL = 0.95
"""Of intervals, before they said so."""
TABLES = (
    "meta", "event", "baseline", "instance", "request", "call", "settled", "answer", "outcome", "evaluation",
    "report", "comparison", "engine_replay", "engine_score",
)  # fmt: skip


class ArchiveError(DiscoverError):
    """The archive cannot be read or written."""


@dataclass(frozen=True, slots=True)
class BoundedInstance:
    """What a leaderboard needs to know of an instance: content hash, classes and bound."""

    name: str
    digest: str
    classes: tuple[str, ...]
    bound: float
    kind: str
    method: str


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request that waits for an answer."""

    number: int
    prompt: str


class Archive:
    """One run's journal, in `folder`/archive.db. Writers hold a lock on the folder; readers need none."""

    def __init__(self, folder: Path, mode: Literal["create", "append", "read"]) -> None:
        """Open the archive of a run.

        Raises:
            UsageError: the folder exists (create), or holds no archive (append, read).
            ArchiveError: another process writes to it, or it is locked, damaged or of another version.
        """
        self.folder = folder
        self.path = folder / "archive.db"
        if mode == "create":
            self._make_folder()
        elif not self.path.is_file():
            raise UsageError(f"'{folder}' holds no run (there is no archive.db in it); name another one")
        with ExitStack() as opened:
            if mode != "read":
                opened.callback(_lock(folder).close)
            with self._explained():
                self._db = _connect(self.path, mode)
                opened.callback(self._db.close)
                if mode == "create":
                    self._create_tables()
                    self.describe(schema=SCHEMA_VERSION, id=secrets.token_hex(8))
                else:
                    self._check_set_up()
                if mode == "append":
                    self._create_tables()  # those that came with a later version
            self._opened = opened.pop_all()  # what failed before this line is closed again

    def relax(self) -> None:
        """Let the system choose when rows reach the disk, for a run that costs nothing to repeat.

        A kill still loses nothing; a power cut may lose the last rows, but does not damage the file.
        """
        with self._explained():
            self._db.execute("PRAGMA synchronous = NORMAL")

    def close(self) -> None:
        """Close the database and let go of the lock."""
        self._opened.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---- what a run is

    def describe(self, **values: object) -> None:
        """Record facts of the run (config, versions, seed), once, as JSON."""
        self._insert("meta", *((name, json.dumps(value)) for name, value in values.items()))

    def meta(self) -> dict[str, Any]:
        """The recorded facts of the run."""
        return {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM meta")}

    @cached_property
    def id(self) -> str:
        """What tells this run from all others; the folder's name for one from before runs had an id."""
        return str(self.meta().get("id", self.folder.name))

    @property
    def config(self) -> dict[str, Any]:
        """The config in force: that of the start, or as it was last amended."""
        rows = self._rows("SELECT detail FROM event WHERE kind = ? ORDER BY rowid DESC LIMIT 1", AMENDED)
        recorded = dict(json.loads(rows[0][0]) if rows else self.meta()["config"])
        before = dict(BEFORE)
        if "models" in recorded.get("proposer", {}):
            before["proposer"] = BEFORE_MODELS
        return {**recorded, **{name: {**each, **recorded.get(name, {})} for name, each in before.items()}}

    def event(self, kind: str, detail: str = "") -> None:
        """Record that the run started, resumed, was interrupted or finished."""
        self._insert("event", (time.time(), kind, storable(detail)))

    def learned(self) -> dict[str, Any]:
        """What the search had learnt when it last ended; nothing before it did."""
        rows = self._rows("SELECT detail FROM event WHERE kind = ? ORDER BY rowid DESC LIMIT 1", LEARNED)
        return dict(json.loads(rows[0][0])) if rows else {}

    def isolation(self) -> list[str]:
        """The tiers of isolation the run's sessions ran in."""
        return [row[0] for row in self._rows("SELECT DISTINCT detail FROM event WHERE kind = 'started'")]

    def add_baseline(self, name: str, source: str) -> None:
        """Record a baseline heuristic."""
        self._insert("baseline", (name, source))

    def add_instances(self, split: str, instances: Sequence[Instance], bounds: Sequence[Bound]) -> None:
        """Record the instances of a split with their bounds, in order."""
        self._insert(
            "instance",
            *(
                (split, position, i.name, i.digest, json.dumps(i.classes), b.value, b.kind, b.method, b.best)
                for position, (i, b) in enumerate(zip(instances, bounds, strict=True))
            ),
        )

    def instances(self, split: str) -> list[BoundedInstance]:
        """The recorded instances of a split, in order; none if it was not recorded."""
        rows = self._rows(
            "SELECT name, digest, classes, bound, kind, method FROM instance WHERE split = ? ORDER BY position",
            split,
        )
        return [BoundedInstance(row[0], row[1], tuple(json.loads(row[2])), *row[3:]) for row in rows]

    # ---- what was asked and answered

    def add_request(self, draft: Draft, request: Request) -> None:
        """Record a request before it is sent; asking again after a kill records nothing new."""
        parents = json.dumps([parent.label for parent in draft.parents])
        with self._explained(), self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?, ?, ?)",
                (draft.number, time.time(), draft.island, draft.operator, parents, request.prompt),
            )

    def add_answer(self, number: int, answer: Answer) -> None:
        """Record an answer as it arrives, and that its call is settled, in one transaction."""
        now = time.time()
        usage = (answer.input_tokens, answer.output_tokens, answer.seconds, answer.cost)
        with self._explained(), self._db:
            self._db.execute(
                "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, now, answer.model, answer.text, answer.source, *usage),
            )
            if answer.call is not None:
                self._settle(answer.call.id, now, "answered", "", answer.charge, answer.seconds)

    def answer(self, number: int) -> Answer | None:
        """A recorded answer, so that what was paid for is not asked again."""
        rows = self._rows(
            "SELECT text, source, model, input_tokens, output_tokens, seconds, cost FROM answer WHERE number = ?",
            number,
        )
        return Answer(*rows[0]) if rows else None

    def asked(self, number: int) -> tuple[str, list[str]] | None:
        """Operator and parents of a recorded request."""
        rows = self._rows("SELECT operator, parents FROM request WHERE number = ?", number)
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    def prompt(self, number: int) -> str:
        """The text a request was made with; empty if there was none."""
        rows = self._rows("SELECT prompt FROM request WHERE number = ?", number)
        return str(rows[0][0]) if rows else ""

    def open_requests(self) -> list[OpenRequest]:
        """The requests that no answer has come for yet, in order."""
        return [
            OpenRequest(*row)
            for row in self._rows(
                "SELECT number, prompt FROM request WHERE number NOT IN (SELECT number FROM answer) ORDER BY number"
            )
        ]

    # ---- what calls were made, and what they cost

    def calls(self) -> list[CallRecord]:
        """All calls, in order."""
        rows = self._rows(
            "SELECT number, key, outcome, coalesce(settled.tokens, call.tokens), coalesce(settled.cost, call.cost)"
            " FROM call LEFT JOIN settled ON settled.call = call.id ORDER BY call.id"
        )
        return [CallRecord(number, key, outcome, Charge(*charge)) for number, key, outcome, *charge in rows]

    def call_key(self, number: int, model: str, *, idempotent: bool) -> str:
        """The Idempotency-Key for the next call: that of the last one to `model`, if that may be sent again.

        A call of unknown outcome is: under its key, until it is answered. A rejection of its repetition (it is still
        in progress, there are too many calls) says nothing about it. What was only rejected gets a new key: there are
        endpoints that remember their errors.
        """
        rows = self._rows(
            "SELECT key, model, outcome FROM call LEFT JOIN settled ON settled.call = call.id"
            " WHERE number = ? ORDER BY call.id",
            number,
        )
        last = next((key for key, place, _ in reversed(rows) if place == model), None)
        ends = [outcome for key, _, outcome in rows if key == last]
        done = {"answered", "unusable"}.intersection(ends)
        if idempotent and ends and not done and (ends[-1] == "unreachable" or {None, "lost"}.intersection(ends)):
            return str(last)
        return f"{self.id}-{number}-{len(rows)}"

    def add_call(self, number: int, model: str, key: str, most: Charge) -> int:
        """Record a call before it is made; returns its number."""
        with self._explained(), self._db:
            cursor = self._db.execute(
                "INSERT INTO call (number, at, model, key, tokens, cost) VALUES (?, ?, ?, ?, ?, ?)",
                (number, time.time(), model, key, most.tokens, most.cost),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def repeat(self, call: Call) -> Call:
        """Record a call again that has ended, and yet brings an answer."""
        rows = self._rows("SELECT model FROM call WHERE id = ?", call.id)
        return replace(call, id=self.add_call(call.number, rows[0][0], call.key, call.most))

    def open_call(self, number: int) -> Call | None:
        """The call for a candidate that has not ended yet, if there is one; the last of them."""
        rows = self._rows(
            "SELECT id, number, key, tokens, cost FROM call WHERE number = ?"
            " AND id NOT IN (SELECT call FROM settled) ORDER BY id DESC LIMIT 1",
            number,
        )
        return _call(rows[0]) if rows else None

    def find_call(self, key: str) -> tuple[Call, bool] | None:
        """The last call made under a key, and whether it has ended."""
        rows = self._rows(
            "SELECT id, number, key, call.tokens, call.cost, settled.call IS NOT NULL FROM call"
            " LEFT JOIN settled ON settled.call = call.id WHERE key = ? ORDER BY id DESC LIMIT 1",
            key,
        )
        return (_call(rows[0]), bool(rows[0][5])) if rows else None

    def settle(self, call: int, outcome: Outcome, charge: Charge, detail: str, seconds: float) -> None:
        """Record how a call ended that brought no answer."""
        with self._explained(), self._db:
            self._settle(call, time.time(), outcome, detail, charge, seconds)

    def _settle(self, call: int, now: float, outcome: Outcome, detail: str, charge: Charge, seconds: float) -> None:
        row = (call, now, outcome, storable(detail), charge.tokens, charge.cost, seconds)
        self._db.execute("INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    # ---- what came of it

    def commit(self, candidate: Candidate, elapsed: float) -> None:
        """Record a judged candidate and its evaluations in one transaction; a recalled one is there already."""
        number = candidate.draft.number
        if number < self.committed():
            return
        outcome = (candidate.verdict, candidate.detail, candidate.score, candidate.signature)
        with self._explained(), self._db:
            self._db.execute(
                "INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?)", (number, time.time(), elapsed, *outcome)
            )
            for split, evaluation in candidate.evaluations.items():
                self._add_evaluation(candidate.label, split, evaluation)

    def committed(self) -> int:
        """How many candidates are committed; they are numbered from 0 without a hole."""
        return int(self._rows("SELECT coalesce(max(number), -1) + 1 FROM outcome")[0][0])

    def elapsed(self) -> float:
        """Seconds of search up to the last commit."""
        return float(self._rows("SELECT coalesce(max(elapsed), 0) FROM outcome")[0][0])

    def recall(self, draft: Draft) -> Candidate | None:
        """The committed candidate for this draft, if there is one.

        Raises:
            ArchiveError: the archive holds another draft under that number: not the same run.
        """
        rows = self._rows(
            "SELECT island, operator, parents, verdict, detail, score, signature FROM outcome JOIN request"
            " USING (number) WHERE number = ?",
            draft.number,
        )
        if not rows:
            return None
        island, operator, parents, verdict, detail, score, signature = rows[0]
        recorded = (island, operator, json.loads(parents))
        if recorded != (draft.island, draft.operator, [parent.label for parent in draft.parents]):
            raise ArchiveError(
                f"candidate {draft.number} in {self.path} came about as {recorded}, but this program and config ask"
                f" for {draft.operator}: resume with the version that started the run ({self.meta()['version']})"
            )
        train = self.evaluation(str(draft.number), "train")
        judged = Candidate(
            draft, None, Verdict(verdict), detail, score, signature, evaluations={"train": train} if train else {}
        )
        if (answered := self.answer(draft.number)) is None:
            return judged
        tokens = answered.input_tokens + answered.output_tokens
        thought = thought_in(answered.text)
        return replace(
            judged, source=answered.source, cost=answered.cost, thought=thought, model=answered.model, tokens=tokens
        )

    def add_evaluation(self, heuristic: str, split: str, evaluation: Evaluation) -> None:
        """Record an evaluation made outside the search."""
        with self._explained(), self._db:
            self._add_evaluation(heuristic, split, evaluation)

    def _add_evaluation(self, heuristic: str, split: str, evaluation: Evaluation) -> None:
        measured = (json.dumps(evaluation.costs), evaluation.cpu_seconds, evaluation.signature)
        row = (heuristic, split, time.time(), evaluation.verdict, evaluation.detail, *measured)
        self._db.execute("INSERT INTO evaluation VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        reports = [(heuristic, split, name, value) for name, value in evaluation.reports.items()]
        self._db.executemany("INSERT INTO report VALUES (?, ?, ?, ?)", reports)

    def evaluation(self, heuristic: str, split: str) -> Evaluation | None:
        """A recorded evaluation."""
        rows = self._rows(
            "SELECT verdict, detail, costs, cpu_seconds, signature FROM evaluation WHERE heuristic = ? AND split = ?",
            heuristic,
            split,
        )
        if not rows:
            return None
        verdict, detail, costs, cpu, signature = rows[0]
        return Evaluation(
            Verdict(verdict), detail, tuple(json.loads(costs)), cpu, signature, self._reports(heuristic, split)
        )

    def _reports(self, heuristic: str, split: str) -> dict[str, float]:
        """What was recorded beside the costs; nothing in an archive from before there was a table for it."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'report'"):
            return {}
        query = "SELECT name, value FROM report WHERE heuristic = ? AND split = ? ORDER BY rowid"
        return dict(self._rows(query, heuristic, split))

    def evaluated(self, split: str) -> list[str]:
        """The heuristics with a recorded evaluation on a split, earliest first."""
        return [row[0] for row in self._rows("SELECT heuristic FROM evaluation WHERE split = ? ORDER BY rowid", split)]

    def baselines(self) -> dict[str, str]:
        """Sources of the recorded baselines by name."""
        return dict(self._rows("SELECT name, source FROM baseline ORDER BY name"))

    def add_comparison(self, heuristic: str, split: str, rival: str, result: object) -> None:
        """Record a paired comparison (a dataclass) of a heuristic with a rival."""
        self._insert("comparison", (heuristic, split, rival, json.dumps(asdict(result))))  # type: ignore[call-overload]

    def comparisons(self, split: str) -> dict[str, Any]:
        """The stored comparisons of a split by heuristic."""
        rows = self._rows("SELECT heuristic, result FROM comparison WHERE split = ?", split)
        return {heuristic: {"level": BEFORE_LEVEL, **json.loads(result)} for heuristic, result in rows}

    def add_engine_replay(self, replay: EngineReplay) -> None:
        """Record a replay on an engine with all its scores, in one transaction."""
        head = (time.time(), replay.engine, replay.wanted, json.dumps(replay.conditions))
        with self._explained(), self._db:
            cursor = self._db.execute(
                "INSERT INTO engine_replay (at, engine, wanted, conditions) VALUES (?, ?, ?, ?)", head
            )
            self._db.executemany(
                f"INSERT INTO engine_score VALUES ({cursor.lastrowid}, ?, ?, ?, ?, ?, ?)",
                [(*astuple(score)[:-1], json.dumps(score.detail)) for score in replay.scores],
            )

    def engine_replay(self) -> EngineReplay | None:
        """The last replay on an engine, its scores in their order; None in archives from before there were any."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'engine_replay'"):
            return None
        heads = self._rows("SELECT id, engine, wanted, conditions FROM engine_replay ORDER BY id DESC LIMIT 1")
        if not heads:
            return None
        number, engine, wanted, conditions = heads[0]
        rows = self._rows(
            "SELECT heuristic, place, measured, simulated, failure, detail FROM engine_score WHERE replay = ?"
            " ORDER BY place",
            number,
        )
        scores = tuple(
            EngineScore(heuristic, place, measured, simulated, failure, json.loads(detail))
            for heuristic, place, measured, simulated, failure, detail in rows
        )
        return EngineReplay(engine, wanted, json.loads(conditions), scores)

    def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Any query; rows as dictionaries."""
        with self._explained():
            cursor = self._db.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    # ---- plumbing

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(
                f"the run folder '{self.folder}' exists; go on with `discover resume {shown(self.folder)}`,"
                " or choose another name with --set run.name=NAME"
            ) from None
        except OSError as error:
            raise ArchiveError(f"cannot make the run folder '{self.folder}': {error.strerror}") from error

    def _check_set_up(self) -> None:
        tables = self._rows("SELECT name FROM sqlite_master WHERE name = 'event'")
        if not tables or not self._rows("SELECT 1 FROM event WHERE kind = ?", CREATED):
            raise UsageError(
                f"the set-up of the run '{self.folder}' was interrupted; remove the folder and start again"
            )
        if (version := self.meta().get("schema")) != SCHEMA_VERSION:
            raise ArchiveError(f"{self.path} has schema {version}, this program needs {SCHEMA_VERSION}")

    def _create_tables(self) -> None:
        schema = (files("discovery") / "schema.sql").read_text(encoding="utf-8")
        guards = "".join(
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action} BEFORE {action} ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;"
            for table in TABLES
            for action in ("UPDATE", "DELETE")
        )
        self._db.executescript(f"BEGIN; {schema} {guards} COMMIT;")

    def _insert(self, table: str, *rows: Sequence[object]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            with self._explained(), self._db:
                self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with self._explained():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors into sentences with a remedy."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise ArchiveError(_explain(self.path, error)) from error


def _call(row: Sequence[Any]) -> Call:
    number, candidate, key, tokens, cost = row[:5]
    return Call(number, candidate, key, Charge(tokens, cost))


def storable(text: str) -> str:
    """Text from outside, with half a surrogate pair, which no file can hold, as a question mark."""
    return text.encode(errors="replace").decode()


def shown(folder: Path) -> str:
    """How commands can name a run: by its name if it is where they look, else by its path."""
    return folder.name if folder.parent == Path("runs") else folder.as_posix()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    if mode == "read":
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
    db = sqlite3.connect(path, timeout=5)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")  # an answer that was paid for survives a power cut too
    return db


def _lock(folder: Path) -> Any:
    """Hold the folder's lock file; the kernel lets go of it when the process ends, however it ends."""
    try:
        handle = (folder / "lock").open("w")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise ArchiveError(f"another process is working on the run '{folder}'; wait for it or stop it") from None
    except OSError as error:
        raise ArchiveError(f"cannot lock the run folder '{folder}': {error.strerror}") from error
    return handle


def _explain(path: Path, error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "full" in text or "disk I/O" in text:
        remedy = f"free space, then `discover resume {shown(path.parent)}`"
        return f"the disk is full or failing while writing {path} ({text}); {remedy}"
    if "locked" in text:
        return f"{path} is locked by another program ({text}); close it and try again"
    if "readonly" in text or "unable to open" in text:
        return f"{path} cannot be opened ({text}); check the permissions of its folder"
    if isinstance(error, sqlite3.IntegrityError):
        return f"{path} refused a row ({text}): what is committed is never changed"
    return (
        f"{path} is damaged ({text}); restore it from a copy, or rescue what is readable with"
        f" `sqlite3 {path.name} .recover`"
    )
