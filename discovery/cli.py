"""The command `discover`. What each command does lives in `discovery.commands`, imported when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Discover scheduling heuristics, scored against certified optima.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RunName = Annotated[str, typer.Argument(help="A run's name or folder.")]
ProblemName = Annotated[str, typer.Option(help="A problem's name, or path/to/file.py:Class.")]


@app.command()
def run(
    config: Annotated[str, typer.Argument(help="A TOML file, or the name of a shipped config, such as demo.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: budget.candidates=200"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a discovery run; ends with its leaderboard."""
    from discovery.commands.run import start

    start(config, settings or [], as_json=as_json)


@app.command()
def resume(
    run: RunName,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change its budget, proposer, workers or engine: budget.tokens=2000000"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted, paused or spent run."""
    from discovery.commands.run import resume

    resume(run, settings or [], as_json=as_json)


@app.command()
def replay(
    run: RunName,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: run.name=again")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a recorded run again, offline and at no cost, from its answers and measurements."""
    from discovery.commands.run import replay

    replay(run, settings or [], as_json=as_json)


@app.command()
def ask(
    run: RunName,
    limit: Annotated[int | None, typer.Option(min=1, help="Print so many requests at most.")] = None,
) -> None:
    """Print the open requests of a run as Markdown, to be answered by a person or any model."""
    from discovery.commands.answer import ask

    ask(run, limit)


@app.command()
def answer(
    run: RunName,
    file: Annotated[Path, typer.Argument(help="What `discover ask` printed, filled in; or Batch API results.")],
    by: Annotated[str, typer.Option(help="Who answered, for the leaderboard.")] = "by hand",
) -> None:
    """Take answers to a run's open requests from a file."""
    from discovery.commands.answer import answer

    answer(run, file, by)


@app.command()
def leaderboard(
    runs: Annotated[list[str] | None, typer.Argument(help="Runs' names or folders; default: the latest.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Discovered heuristics shown per run; of each problem: --all.")
    ] = 10,
    across: Annotated[bool, typer.Option("--all", help="Rank across all runs, one table per problem.")] = False,
    as_json: Json = False,
) -> None:
    """Baselines and discovered heuristics side by side, best on validation first."""
    from discovery.commands.leaderboard import print_leaderboard, print_standings

    if across:
        print_standings(runs or [], limit, as_json=as_json)
    else:
        print_leaderboard(runs or [], limit, as_json=as_json)


@app.command()
def operators(
    run: Annotated[str | None, typer.Argument(help="A run's name or folder; default: the latest.")] = None,
    as_json: Json = False,
) -> None:
    """What each operator and model of a run brought, and what it cost."""
    from discovery.commands.operators import operators

    operators(run, as_json=as_json)


@app.command()
def show(
    candidate: Annotated[str, typer.Argument(help="RUN/NUMBER, a NUMBER or baseline of the latest run.")],
    as_json: Json = False,
) -> None:
    """A candidate's source, scores, lineage, prompt and answer."""
    from discovery.commands.show import show

    show(candidate, as_json=as_json)


@app.command()
def evaluate(
    heuristic: Annotated[str, typer.Argument(help="A heuristic's file, or a baseline's name.")],
    problem: ProblemName,
    split: Annotated[str | None, typer.Option(help="train, validation, test, or fresh:SEED.")] = None,
    instances: Annotated[
        Path | None, typer.Option(help='Your own instances, JSON lines: {"p": [...], "d": [...]}')
    ] = None,
    cpu_scale: Annotated[float, typer.Option(min=0.001, max=1000, help="Multiplies the problem's CPU limit.")] = 1.0,
    memory_mb: Annotated[int, typer.Option(min=64, max=1_000_000, help="Memory limit.")] = 512,
    as_json: Json = False,
) -> None:
    """Score one heuristic, run sealed off, against certified bounds."""
    from discovery.commands.evaluate import evaluate

    evaluate(heuristic, problem, split, instances, cpu_scale=cpu_scale, memory_mb=memory_mb, as_json=as_json)


@app.command()
def compare(
    heuristics: Annotated[list[str], typer.Argument(help="Heuristics' files, or baselines' names.")],
    problem: ProblemName,
    split: Annotated[str | None, typer.Option(help="A standard split, or fresh:SEED.")] = None,
    instances: Annotated[Path | None, typer.Option(help="Your own instances, JSON lines.")] = None,
    by: Annotated[str, typer.Option(help="Figure shown: mean, ratio or median.")] = "mean",
    as_json: Json = False,
) -> None:
    """Several heuristics on the same instances: one figure per class, one column per heuristic."""
    from discovery.commands.compare import compare

    compare(heuristics, problem, split, instances, by=by, as_json=as_json)


@app.command()
def bounds(
    problem: ProblemName,
    instances: Annotated[Path | None, typer.Option(help="Bound your own instances, JSON lines.")] = None,
    recompute: Annotated[bool, typer.Option(help="Compute the standard splits again and report differences.")] = False,
    write: Annotated[bool, typer.Option(help="Compute the standard splits and store their bounds.")] = False,
    as_json: Json = False,
) -> None:
    """Certified bounds: of your own instances, or those stored for the standard splits."""
    from discovery.commands.bounds import bounds

    bounds(problem, instances, recompute=recompute, write=write, as_json=as_json)


@app.command()
def export(
    candidate: Annotated[
        str,
        typer.Argument(help="RUN/NUMBER, a NUMBER or baseline of the latest run; for an engine any policy of bench."),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if need be.")],
    to: Annotated[
        str, typer.Option(help="python: a module; vllm or sglang: a folder that the engine runs.")
    ] = "python",
) -> None:
    """Write a heuristic as a standalone Python module, or as a scheduling policy for vLLM or SGLang."""
    from discovery.commands.export import export

    typer.echo(f"wrote {export(candidate, folder, to)}")


@app.command()
def verify(
    run: RunName,
    as_json: Json = False,
) -> None:
    """Score a run's winners again from their source and report any difference."""
    from discovery.commands.verify import verify

    verify(run, as_json=as_json)


@app.command()
def calibrate(
    log: Annotated[
        Path | None, typer.Argument(metavar="[STEPLOG]", help="CSV or JSON lines; default: show the shipped profiles.")
    ] = None,
    profile: Annotated[Path | None, typer.Option(metavar="OUT.json", help="Write the fitted profile here.")] = None,
    experts: Annotated[int, typer.Option(min=0, help="Experts per layer of a mixture-of-experts model.")] = 0,
    top_k: Annotated[int, typer.Option(min=0, help="Experts each token uses.")] = 0,
    as_json: Json = False,
) -> None:
    """Fit the simulator's clock to an engine's step log; shows its error on held-out steps."""
    from discovery.commands.calibrate import calibrate

    calibrate(log, profile, experts=experts, top_k=top_k, as_json=as_json)


@app.command()
def trace(
    source: Annotated[str, typer.Argument(help="A trace, vLLM's request log, or conversation, code, mooncake.")],
    out: Annotated[Path | None, typer.Argument(metavar="[OUT.jsonl]", help="Write it here in our own format.")] = None,
    start: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Leave out what arrives before.")] = 0.0,
    end: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="… and from there on.")] = None,
    requests: Annotated[int | None, typer.Option(min=1, help="The first so many of what is left.")] = None,
    as_json: Json = False,
) -> None:
    """What a trace holds: rate, lengths, shared prefixes; converted to lengths and block ids, without any text."""
    from discovery.commands.trace import trace

    trace(source, out, start=start, end=end, requests=requests, as_json=as_json)


@app.command()
def accept(
    candidate: Annotated[str, typer.Argument(help="RUN/NUMBER, or a NUMBER of the latest run.")],
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the fresh instances; default: drawn now.")] = None,
    as_json: Json = False,
) -> None:
    """Try a candidate on fresh instances; one that beats every baseline is kept in runs/champions."""
    from discovery.commands.accept import accept

    accept(candidate, seed, as_json=as_json)


@app.command()
def study(
    configs: Annotated[
        list[str], typer.Argument(help="TOML files, or names of shipped configs; the first is the base.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key in every arm: budget.candidates=200"),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", metavar="NAME: KEY=VALUE…", help="Also with these keys: 'one island: search.islands=1'"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each arm.")] = 5,
    name: Annotated[
        str | None, typer.Option(help="Folder below runs/studies; default: the first config's name.")
    ] = None,
    ablate: Annotated[bool, typer.Option("--ablate", help="Also with each operator and part off, one by one.")] = False,
    shapes: Annotated[bool, typer.Option("--shapes", help="Also as best-of-N and as greedy (1+1) search.")] = False,
    as_json: Json = False,
) -> None:
    """The same task with several settings and seeds: a table and a plot of best gap against calls."""
    from discovery.commands.study import study

    study(
        configs, settings or [], arm or [], seeds=seeds, name=name, ablate=ablate, shapes=shapes, as_json=as_json
    )  # fmt: skip


@app.command()
def bench(
    policies: Annotated[
        list[str], typer.Argument(help="Baselines' names, policy files, RUN/NUMBER or PROBLEM:HEURISTIC.")
    ],
    workload: Annotated[str, typer.Option(help="conversation, code, mooncake, agents, or a trace file.")],
    rate: Annotated[
        str | None, typer.Option(metavar="R[,R…]", help="Arrivals per second; default: the workload's own.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="sim: the simulator; torch: the embedded engine; vllm: live ones (--url, --serve or --in-process)."
        ),
    ] = "sim",
    slo: Annotated[
        str | None,
        typer.Option(help="strict, relaxed or TTFT,TPOT in seconds; default: the file's own objectives, else strict."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="The simulator's clock, a cost profile's name or file: discover calibrate. Default: h200-llama3-8b; "
            "with --engine torch fitted to the run."
        ),
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option(
            min=1, help="The first so many; default: all of a file, 1000 of a synthetic workload (torch: 100)."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of a synthetic workload and of drawn predictions.")] = 0,
    oracle: Annotated[bool, typer.Option("--oracle", help="Policies see the true output lengths.")] = False,
    prediction_error: Annotated[
        float | None, typer.Option(min=0, metavar="SIGMA", help="Log-normal error of predicted output lengths.")
    ] = None,
    blocks: Annotated[int | None, typer.Option(min=1, help="KV blocks of 16 tokens; default: 12000.")] = None,
    max_running: Annotated[int | None, typer.Option(min=1, help="max_num_seqs of the engine; default: 256.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="max_num_batched_tokens of the engine; default: 2048.")
    ] = None,
    max_prompt: Annotated[int | None, typer.Option(min=1, help="Cut prompts to so many tokens.")] = None,
    max_output: Annotated[int | None, typer.Option(min=1, help="Cut outputs to so many tokens.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="So many requests at a time, instead of by arrival times.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="torch: tiny, tiny-moe, llama3-8b …, or a model's folder; default: tiny. vllm: the model's name; "
            "default: the server's first."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="torch: cpu or cuda; default: a GPU if there is one.")] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="torch: how often every policy serves all requests; default: 3.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="torch: threads that compute on a CPU; default: 1.")
    ] = None,
    pools: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="torch: prompts and decodes in two pools; share of KV blocks for prompts."),
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(help="vllm: a running server, once for each POLICY, which then is a name only.")
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help="vllm: start this for each POLICY ('vllm': its own order): 'vllm serve MODEL'."
        ),
    ] = None,
    in_process: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="vllm: the same without a server, in a Python with vLLM: MODEL and engine arguments."
        ),
    ] = None,
    prompts: Annotated[str, typer.Option(help="vllm: send prompts as tokens (ids) or as text (words).")] = "tokens",
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="vllm: the environment variable that holds the server's key.")
    ] = None,
    stall: Annotated[float, typer.Option(min=1, help="vllm: give up after so many seconds without a token.")] = 300.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write results, plots and a page here; default with torch: below runs/."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Serving policies side by side on the same requests: latencies, SLOs, goodput, throughput."""
    from discovery.bench.real import engine_options
    from discovery.commands.bench import Asked, bench, parse_error, parse_rates
    from discovery.commands.bench_live import LIVE, LiveOptions

    own = {"blocks": blocks, "max_running": max_running, "max_tokens": max_tokens}
    asked = Asked(
        names=policies, source=workload, rates=parse_rates(rate), requests=requests, seed=seed,
        error=parse_error(prediction_error, oracle=oracle), max_prompt=max_prompt, max_output=max_output, slo=slo,
        profile=profile, given={name: value for name, value in own.items() if value is not None},
        concurrency=concurrency, out=out,
    )  # fmt: skip
    real = engine_options(None if engine == LIVE else model, device, rounds, threads, pools)
    live = LiveOptions(
        urls=tuple(url or ()), serve=serve, in_process=in_process, model=model if engine == LIVE else None,
        prompts=prompts, api_key_env=api_key_env, stall=stall,
    )  # fmt: skip
    bench(engine, asked, real=real, live=live, as_json=as_json)


@app.command()
def problems(as_json: Json = False) -> None:
    """The problems there are, with their entry functions and baselines."""
    from evaluators.heuristic import baselines
    from problems.registry import BUILT_IN, load_problem

    loaded = [load_problem(name) for name in BUILT_IN]
    records = [
        {"problem": p.name, "entry": p.entry.signature, "baselines": [each.name for each in baselines(p)]}
        for p in loaded
    ]
    if as_json:
        from discovery.output import print_json

        print_json(records)
        return
    for record in records:
        typer.echo(f"{record['problem']}: {record['entry']}; baselines: {', '.join(record['baselines'])}")


@app.command()
def doctor(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Check this exported policy instead: discover export --to vllm."),
    ] = None,
    config: Annotated[str | None, typer.Option(help="Also try the endpoint of this config.")] = None,
    as_json: Json = False,
) -> None:
    """What this machine offers (Python, cores, isolation, GPU, engines, endpoint), or whether an export is sound."""
    if folder is not None:
        from discovery.commands.doctor_folder import doctor_folder

        doctor_folder(folder, as_json=as_json)
        return
    from discovery.commands.doctor import doctor

    doctor(config, as_json=as_json)


def _usage_errors() -> tuple[type[Exception], ...]:
    from discovery.errors import UsageError
    from evaluators.heuristic import HeuristicError
    from problems.errors import InstanceError
    from problems.registry import UnknownProblem

    return UsageError, HeuristicError, InstanceError, UnknownProblem


def _failures() -> tuple[type[Exception], ...]:
    from discovery.errors import DiscoverError
    from discovery.proposers.base import ProposerError
    from evaluators.bounds import BoundsError
    from evaluators.sandbox.tiers import IsolationUnavailable
    from evaluators.verdict import InfrastructureError
    from problems.errors import ProblemError

    ours = (DiscoverError, ProposerError, BoundsError, IsolationUnavailable, InfrastructureError)
    return *ours, ProblemError, OSError


def main() -> None:
    """Entry point: errors a user can do something about end in one sentence and an exit code of 1 or 2."""
    try:
        app()
    except SystemExit:  # how a command that went well ends; so the tuples below are made only for errors
        raise
    except _usage_errors() as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except _failures() as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
