"""vLLM's engine in this very process, asked without HTTP: the same requests by its own interface, AsyncLLM.

    engine = AsyncLLM.from_engine_args(AsyncEngineArgs(model=…))
    replayed = await replay(workload, InProcess(engine))

What computes is still a process of vLLM's own (EngineCore), as behind its server; what is left out is the server: HTTP,
JSON and the making of text. A request is asked for as `completions.request_body` asks a server, so that the scheduler,
and a policy in it, see the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from time import perf_counter
from typing import Any

from engine_bridge.replay.completions import FORCED, Dialect, Stream
from engine_bridge.replay.server import About, Array, Send, ServerError
from engine_bridge.replay.server_metrics import Scrape, parse


class InProcess:
    """A running AsyncLLM.

    Its metrics are in Prometheus' registry, those of its policy where `PROMETHEUS_MULTIPROC_DIR` named a folder before
    vLLM was imported: they come from the process that schedules.
    """

    def __init__(self, engine: Any, *, stall: float = 300.0) -> None:
        import vllm

        self._engine = engine
        self._numbers = count()
        config = engine.vllm_config.model_config
        self.about = About(
            engine=f"vLLM {vllm.__version__}", where="in this process", model=config.model,
            longest=config.max_model_len, lengths=Dialect().described, stall=stall,
        )  # fmt: skip

    async def check_health(self) -> None:
        """See that the process that computes is there.

        Raises:
            ServerError: it is not.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await self._engine.check_health()
        except EngineDeadError:
            raise self._died() from None

    async def scrape(self) -> Scrape:
        """Its metrics, as a server would show them."""
        from prometheus_client import generate_latest
        from vllm.v1.metrics.prometheus import get_prometheus_registry

        return parse(generate_latest(get_prometheus_registry()).decode())

    async def prepare(self, prompt: Array, output: int, hints: Mapping[str, float], stream: Stream) -> Send:
        """The parameters; `Server.prepare` says the rest."""
        from vllm.exceptions import VLLMError
        from vllm.sampling_params import RequestOutputKind, SamplingParams
        from vllm.v1.engine.exceptions import EngineDeadError

        parameters = SamplingParams(
            temperature=0.0, max_tokens=output, min_tokens=output, detokenize=False, extra_args=dict(hints),
            output_kind=RequestOutputKind.DELTA, **FORCED,
        )  # fmt: skip
        asked = {"prompt_token_ids": prompt.tolist()}

        async def send() -> str:
            try:
                async for reply in self._engine.generate(asked, parameters, f"replay-{next(self._numbers)}"):
                    _take(stream, perf_counter(), reply)
            except EngineDeadError:
                raise self._died() from None
            except (VLLMError, ValueError) as error:
                return " ".join(str(error).split())[:300]
            return ""

        return send

    def _died(self) -> ServerError:
        return ServerError(f"the engine {self.about.where} has died; look at its log")


def _take(stream: Stream, now: float, reply: Any) -> None:
    """Note what one piece of a reply has brought."""
    stream.add(now, len(reply.outputs[0].token_ids))
    stream.prompt = len(reply.prompt_token_ids or ())
    stream.cached = reply.num_cached_tokens
