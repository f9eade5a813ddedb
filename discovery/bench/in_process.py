"""Starts vLLM's engine in this process for as long as it is needed, with or without a policy."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, BinaryIO

from discovery.bench.launching import STOP_SECONDS, log_named, reason
from discovery.errors import UsageError
from engine_bridge.replay.in_process import InProcess
from engine_bridge.replay.server import ServerError
from evaluators.vllm_folder import CLASS

STREAMS = (1, 2)
"""Standard output and error."""


def read_arguments(text: str) -> list[str]:
    """The model and the engine's arguments that `--in-process` holds, without the scheduler: that is ours.

    Raises:
        UsageError: there is no model, it sets the scheduler, or vLLM is not here.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--in-process '{text}': no arguments ({error}); give MODEL as to 'vllm serve'") from None
    if not words or words[0].startswith("-"):
        raise UsageError(f"--in-process '{text}': name the model first, as to 'vllm serve'")
    if any(word.partition("=")[0].replace("_", "-") == "--scheduler-cls" for word in words):
        raise UsageError(f"--in-process '{text}': take out --scheduler-cls, which is set for each engine")
    if find_spec("vllm") is None:
        raise UsageError(
            f"--in-process needs vLLM in the Python that runs discover, which {sys.executable} lacks; install this"
            " project beside vLLM (pip install -e .) and call the discover of that environment, or take --serve"
        )
    return ["--model", *words]


@contextmanager
def vllm_here(words: Sequence[str]) -> Iterator[Any]:
    """The engine's arguments, read by vLLM, which is imported so that several of its engines can run by turns.

    Raises:
        UsageError: vLLM does not know them.
    """
    with tempfile.TemporaryDirectory(prefix="metrics-") as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics  # read once, when the client library is imported
        # A forked engine would write where this process writes, and see the policy's modules of the engine before it.
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
        with Path(os.devnull).open("wb") as nowhere, output_to(nowhere):
            arguments = _parsed(words)
        try:
            yield arguments
        finally:
            logging.getLogger("vllm").handlers = [logging.NullHandler()]


def _parsed(words: Sequence[str]) -> Any:
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError as error:
        raise UsageError(f"--in-process: this vLLM cannot be used ({error}); take --serve, or vLLM 0.32") from None

    def refuse(message: str) -> None:
        raise UsageError(f"--in-process: {message}; give the arguments of 'vllm serve' that are not of its server")

    parser = FlexibleArgumentParser(add_help=False)
    parser.error = refuse
    return AsyncEngineArgs.from_cli_args(AsyncEngineArgs.add_cli_args(parser).parse_args(list(words)))


@contextmanager
def embedded(arguments: Any, folder: Path | None, log: Path, stall: float) -> Iterator[InProcess]:
    """An engine that runs in the block, with the policy exported to `folder` or with vLLM's own scheduler.

    Args:
        arguments: what `vllm_here` gives.
        log: what vLLM says goes there.
        stall: as `About` has it.

    Raises:
        ServerError: it does not start; or what failed in the block, with the place of the log.
    """
    log.unlink(missing_ok=True)
    with log.open("ab") as output, _tidy(output) as note, ExitStack() as stack:
        _log_to(log)
        with output_to(output), _interruptible():
            engine = _start(arguments, folder, log)
        stack.callback(_shut_down, engine, output)
        note()
        _log_to(log)  # the first engine sets vLLM's logging up once more
        with log_named(log):
            yield InProcess(engine, stall=stall)


def _start(arguments: Any, folder: Path | None, log: Path) -> Any:
    """An AsyncLLM; the processes it starts look for the policy where this one does.

    Raises:
        ServerError: vLLM refuses the arguments, or its process does not get ready.
    """
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments = copy(arguments)
    before = sys.path.copy()
    if folder is not None:
        arguments.scheduler_cls = CLASS
        sys.path.insert(0, str(folder.resolve()))
    try:
        return AsyncLLM.from_engine_args(arguments)
    except (ValueError, OSError) as error:
        raise ServerError(f"vLLM's engine did not start: {' '.join(str(error).split())[:300]} (log: {log})") from None
    except RuntimeError:  # the reason is what its process has written
        raise ServerError(f"vLLM's engine did not start: {reason(log)}") from None
    finally:
        sys.path[:] = before


class _Interrupted(BaseException):
    """Ctrl-C, by another name."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the block, though vLLM passes over `KeyboardInterrupt` while it waits for its process."""

    def interrupt(*_: object) -> None:
        raise _Interrupted

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except _Interrupted:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)


def _shut_down(engine: Any, output: BinaryIO) -> None:
    with output_to(output):
        engine.shutdown()


@contextmanager
def _tidy(output: BinaryIO) -> Iterator[Callable[[], None]]:
    """Sees that no process is left; gives what notes those there are, as some outlive the one that is their parent.

    What they have counted is forgotten: the metrics of the next engine are to be its own.
    """
    import psutil  # vLLM needs it

    with output_to(output):
        resource_tracker.ensure_running()  # this one stays: it is Python's own
    others, own = _children(), set[Any]()

    def note() -> None:
        own.update(_children() - others)

    try:
        yield note
    finally:
        note()
        until = time.monotonic() + STOP_SECONDS
        while (left := [each for each in own if _runs(each)]) and time.monotonic() < until:
            time.sleep(0.05)
        for each in left:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        for path in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db"):
            if not path.stem.endswith(f"_{os.getpid()}"):
                path.unlink()


def _runs(process: Any) -> bool:
    """Whether it does; one that is dead and only waits for whoever inherited it does not."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _children() -> set[Any]:
    """All processes below this one."""
    import psutil

    return set(psutil.Process().children(recursive=True))


def _log_to(log: Path) -> None:
    """Have vLLM's lines of this process in `log`, too."""
    handler = logging.FileHandler(log)
    logger = logging.getLogger("vllm")
    handler.setFormatter(logger.handlers[0].formatter if logger.handlers else None)
    for each in logger.handlers:
        each.close()
    logger.handlers = [handler]


@contextmanager
def output_to(file: BinaryIO) -> Iterator[None]:
    """What this process writes goes to `file`; and, for as long as they live, that of processes started meanwhile."""
    python = sys.stdout, sys.stderr
    kept = [os.dup(stream) for stream in STREAMS]
    _flush()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a progress line takes their places
    for stream in STREAMS:
        os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        _flush()
        sys.stdout, sys.stderr = python
        for stream, before in zip(STREAMS, kept, strict=True):
            os.dup2(before, stream)
            os.close(before)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
