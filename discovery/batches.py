"""A run that asks by file: the files in its folder, and the Batch API of an endpoint, if it is to be used."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import openai
from openai.types import Batch

from discovery.answers import take
from discovery.archive import Archive, shown
from discovery.errors import UsageError
from discovery.proposers.base import AnswersWanted, ProposerError
from discovery.proposers.batch import request_line
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
        if self._read_results():
            return
        path, requests = self._write_requests()
        if not self.settings.submit:
            name = shown(self.archive.folder)
            raise AnswersWanted(
                f"requests that wait for answers: {len(requests)}, in {path} (OpenAI Batch format): put the results beside it"
                f" as results.jsonl, then `discover resume {name}`; or answer them by hand: `discover ask {name}`"
            )
        await self._through_the_api(path, requests)
        if not self._read_results():
            raise ProposerError(f"the batch of {len(requests)} requests brought no answer; see {path.parent}")

    def _read_results(self) -> bool:
        """Whether the results files in the run's folder hold anything new."""
        news = False
        for path in sorted(self._folder.glob("results*.jsonl")):
            try:
                text = path.read_text(encoding="utf-8")
                report = take(self.archive, text, self.settings.models, self.function, by="batch")
            except UnicodeDecodeError as error:
                raise UsageError(f"{path} is not UTF-8 text: {error}") from None
            except UsageError as error:
                raise UsageError(f"{path}: {error}") from None
            if report.taken or report.failed:
                news = True
                self.phase(f"{path.name}: {report}")
        return news

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
        label = self._under_way()
        async with openai.AsyncOpenAI(
            base_url=model.base_url, api_key=os.environ.get(model.api_key_env) or "none", max_retries=0
        ) as client:
            try:
                batch = await self._found(client, label) if label else None
                if batch is None:
                    label = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
                    batch = await self._submitted(client, label, path)
                batch = await self._ended(client, batch.id)
                for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                    content = await client.files.content(file_id)
                    (self._folder / f"results-{file_id}.jsonl").write_bytes(content.content)
            except openai.OpenAIError as error:
                said = " ".join(str(error).split())[:200]
                raise ProposerError(
                    f"the Batch API of {model.base_url} failed ({said}); then `discover resume`"
                ) from None
        self.archive.event(DONE, str(label))
        if batch.status == "failed":
            data = batch.errors.data if batch.errors else None
            said = str(data[0].message) if data else "no reason given"
            raise ProposerError(f"batch {batch.id} was refused: {said}")

    def _under_way(self) -> str | None:
        """The label of the batch that an earlier session began to submit, and whose end was not seen."""
        events = self._events()
        done = {detail for kind, detail in events if kind == DONE}
        return next((detail for kind, detail in events if kind == INTENDED and detail not in done), None)

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
        self.archive.event(INTENDED, label)
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
