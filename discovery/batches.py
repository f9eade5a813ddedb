"""A run that asks by file: the files in its folder, and the Batch API of an endpoint, if it is to be used."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import openai
from openai.types import Batch

from discovery.answers import Report, take
from discovery.archive import Archive, shown
from discovery.errors import UsageError
from discovery.proposers.base import AnswersWanted, ProposerError
from discovery.proposers.batch import request_line
from discovery.proposers.keys import key_of, without_key
from discovery.proposers.settings import BatchProposer

ENDED = ("completed", "failed", "expired", "cancelled")
INTENDED, SUBMITTED, DONE = "batch intended", "batch submitted", "batch done"
FAILED_LOOKS = 10
"""After so many failed looks in a row at a batch the run pauses."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Takes a run's open requests out, and its answers in."""

    archive: Archive
    settings: BatchProposer
    function: str
    phase: Callable[[str], None]

    async def __call__(self) -> None:
        """Bring in what has come; when there is nothing, see that the requests can be answered.

        Raises:
            AnswersWanted: nothing has come; the message says where the requests are and how to go on.
            ProposerError: the endpoint's Batch API cannot be used.
        """
        if self._read_results() is not None:
            return
        path, keys = self._write_requests()
        if not self.settings.submit:
            name = shown(self.archive.folder)
            raise AnswersWanted(
                f"requests that wait for answers: {len(keys)}, in {path} (OpenAI Batch format): put the results"
                f" beside it as results.jsonl, then `discover resume {name}`; or answer them by hand:"
                f" `discover ask {name}`"
            )
        await self._through_the_api(path, keys)
        news = self._read_results()
        if news is None or not news.taken:
            raise ProposerError(f"the batch of {len(keys)} requests brought no answer ({news or 'no results'})")

    def _read_results(self) -> Report | None:
        """Take what is new in the results files in the run's folder, if there is anything."""
        news = Report()
        for path in sorted(self._folder.glob("results*.jsonl")):
            try:
                text = path.read_text(encoding="utf-8")
                report = take(self.archive, text, self.settings.models, self.function, by="batch")
            except UnicodeDecodeError as error:
                raise UsageError(f"{path} is not UTF-8 text: {error}") from None
            except UsageError as error:
                raise UsageError(f"{path}: {error}") from None
            if report.taken or report.failed:
                news.taken += report.taken
                news.failed |= report.failed
                self.phase(f"{path.name}: {report}")
        return news if news.taken or news.failed else None

    def _write_requests(self) -> tuple[Path, list[str]]:
        """Write the open requests to a file; returns their keys too."""
        path, keys, lines = self._folder / "requests.jsonl", [], []
        for request in self.archive.open_requests():
            if (call := self.archive.open_call(request.number)) is not None:
                keys.append(call.key)
                lines.append(request_line(call.key, self.settings.models[0], request.prompt))
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(lines), encoding="utf-8")
        except OSError as error:
            raise ProposerError(f"cannot write {path}: {error.strerror or error}") from error
        return path, keys

    async def _through_the_api(self, path: Path, keys: list[str]) -> None:
        """Submit the requests, unless a batch is under way, wait for its end, and fetch the results."""
        model = self.settings.models[0]
        key = key_of(model)
        async with openai.AsyncOpenAI(base_url=model.base_url, api_key=key or "none", max_retries=0) as client:
            try:
                label = self._under_way()
                batch = await self._found(client, label) if label else None
                if batch is None:
                    label = label or self._intended(keys)
                    batch = await self._submitted(client, label, path)
                batch = await self._ended(client, batch.id)
                for number, file_id in enumerate(filter(None, (batch.output_file_id, batch.error_file_id))):
                    content = await client.files.content(file_id)
                    text = without_key(content.content.decode(errors="replace"), key)
                    self._keep(f"results-{label}-{number}.jsonl", text)
            except openai.OpenAIError as error:
                raise ProposerError(f"the Batch API of {model.base_url} failed ({_line(str(error), key)})") from None
        self.archive.event(DONE, str(label))
        if batch.status == "failed":
            data = batch.errors.data if batch.errors else None
            said = str(data[0].message) if data else "no reason given"
            raise ProposerError(f"batch {batch.id} was refused: {_line(said, key)}")

    def _keep(self, name: str, text: str) -> None:
        """Write results down: all of them, or nothing."""
        partial = self._folder / f"{name}.partial"
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._folder / name)
        except OSError as error:
            raise ProposerError(f"cannot write {partial}: {error.strerror or error}") from error

    def _under_way(self) -> str | None:
        """The label of the batch that an earlier session began to submit, and whose end was not seen."""
        events = self._events()
        done = {detail for kind, detail in events if kind == DONE}
        done |= {path.name.split("-")[1] for path in self._folder.glob("results-*-*.jsonl")}
        return next((detail for kind, detail in events if kind == INTENDED and detail not in done), None)

    def _intended(self, keys: list[str]) -> str:
        """The label of a new batch; the same requests may be in several, one after another."""
        before = sum(kind == INTENDED for kind, _ in self._events())
        label = hashlib.sha256("\n".join([self.archive.id, str(before), *keys]).encode()).hexdigest()[:16]
        self.archive.event(INTENDED, label)
        return label

    async def _found(self, client: openai.AsyncOpenAI, label: str) -> Batch | None:
        """The batch with this label, even if who submitted it did not live to write down its number."""
        for kind, detail in self._events():
            if kind == SUBMITTED and json.loads(detail)["label"] == label:
                return await client.batches.retrieve(json.loads(detail)["batch"])
        async for batch in client.batches.list(limit=100):
            if batch.metadata and batch.metadata.get("label") == label:
                return batch
        return None

    def _events(self) -> list[tuple[str, str]]:
        rows = self.archive.query("SELECT kind, detail FROM event WHERE kind LIKE 'batch %' ORDER BY rowid")
        return [(row["kind"], row["detail"]) for row in rows]

    async def _submitted(self, client: openai.AsyncOpenAI, label: str, path: Path) -> Batch:
        file = await client.files.create(file=path, purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"label": label, "run": self.archive.id},
        )
        self.archive.event(SUBMITTED, json.dumps({"label": label, "batch": batch.id}))
        return batch

    async def _ended(self, client: openai.AsyncOpenAI, batch_id: str) -> Batch:
        """The batch when it has ended."""
        failed = 0
        while True:
            try:
                batch = await client.batches.retrieve(batch_id)
                failed = 0
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError):
                failed += 1
                if failed == FAILED_LOOKS:
                    raise
            else:
                counts = batch.request_counts
                done = f", {counts.completed} of {counts.total} done" if counts else ""
                self.phase(f"batch {batch_id}: {batch.status}{done}")
                if batch.status in ENDED:
                    return batch
            await asyncio.sleep(self.settings.poll)

    @property
    def _folder(self) -> Path:
        return self.archive.folder / "batch"


def _line(text: str, key: str) -> str:
    """One short line of what an endpoint says, without the key."""
    return " ".join(without_key(text, key).split())[:200]
