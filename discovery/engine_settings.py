"""The section of a config that says on what engine, and with what requests, winners are replayed."""

from __future__ import annotations

from pydantic import Field, model_validator

from discovery.proposers.settings import Section


class Engine(Section):
    """The replay of winners that `evaluation.engine` asks for.

    `model`: a preset's name (tiny, tiny-moe, llama3-8b, qwen3-30b-a3b) or a folder. `device`: cpu, cuda …; by default
    a GPU if there is one. `top_k`: how many winners, by validation. `baselines`: policies beside them, as `discover
    bench` takes them; by default FCFS and the problem's best baseline. `workload`, `requests`, `rate`, `concurrency`,
    `slo`, `max_prompt`, `blocks`, `rounds`, `threads`: as the options of `discover bench`.
    """

    model: str = "tiny"
    device: str | None = None
    top_k: int = Field(3, ge=1, le=100)
    baselines: tuple[str, ...] | None = None
    workload: str = "conversation"
    requests: int = Field(100, ge=1)
    rate: float | None = Field(None, gt=0)
    concurrency: int | None = Field(None, ge=1)
    slo: str | None = None
    max_prompt: int | None = Field(None, ge=1)
    blocks: int | None = Field(None, ge=1)
    rounds: int = Field(3, ge=1, le=100)
    threads: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_way_to_arrive(self) -> Engine:
        if self.rate is not None and self.concurrency is not None:
            raise ValueError("engine.rate sends requests by the clock, engine.concurrency when one finishes; set one")
        return self
