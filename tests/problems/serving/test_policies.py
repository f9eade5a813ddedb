"""Every baseline does what its source says: on views, and in the simulator."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engine_bridge.policy import CORE, ENGINES, require_engine
from problems.serving.instances import generate
from tests.problems.serving.lab import POLICIES, answer, changed, order, policy, serve, small, view_of

NAMES = sorted(path.stem for path in POLICIES.glob("*.py"))
BEYOND_VLLM = {"slai", "layered_prefill", "flowprefill"}


def test_all_are_there() -> None:
    """The thirteen that the reference asks for, and one that combines two."""
    names = """fcfs sjf lpm sarathi_512 sarathi_2048 slai layered_prefill batchllm fairbatching flowprefill fastswitch
        layerkv nanoflow sjf_256"""
    assert sorted(names.split()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_names_its_source_and_tag(name: str) -> None:
    """The docstring says where the rule comes from, how faithful it is and what is left out."""
    text = (POLICIES / f"{name}.py").read_text(encoding="utf-8")
    assert re.match(r'"""[\s\S]+\nSource: [\s\S]+\nTag: (faithful|inspired by [A-Z]\w+)\nDeviations: [\s\S]+?"""', text)


@pytest.mark.parametrize("name", NAMES)
def test_each_serves_every_family(name: str) -> None:
    """No answer is invalid, every request is finished, and a step is hardly ever done again as FCFS."""
    for family in ("conversation", "agents"):
        instance = generate(family, 1)
        short = changed(instance, output=np.minimum(instance["output"], 20))
        outcome = serve(short, policy(name))
        assert np.isfinite(outcome.finish).all()
        assert outcome.fallbacks <= outcome.steps / 50


@pytest.mark.parametrize("name", NAMES)
def test_who_can_carry_it_out(name: str) -> None:
    """All but three keep to the core, which vLLM carries out; the simulator carries out all."""
    functions = policy(name).functions
    assert (functions <= ENGINES["vllm"]) == (name not in BEYOND_VLLM)
    assert functions <= {*CORE, "hold", "chunk", "layer_groups"}
    require_engine(policy(name), "sim")


def test_fcfs_leaves_everything_as_it_is() -> None:
    """The file decides as the engine without any policy, preemptions included."""
    instance = changed(generate("conversation", 1), blocks=4000)
    ours, none = serve(instance, policy("fcfs")), serve(instance)
    assert none.preemptions.sum() > 0
    np.testing.assert_array_equal(ours.finish, none.finish)
    np.testing.assert_array_equal(ours.first_token, none.first_token)


def test_sjf_goes_by_what_is_predicted_to_be_left() -> None:
    """A preempted request counts with what it still has to generate."""
    view = view_of(waiting=[{"predicted": 50}, {"predicted": 20}, {"predicted": 60, "output": 55}])
    assert order("sjf", view) == [2, 1, 0]


def test_lpm_goes_by_the_cached_prefix_until_the_queue_is_long() -> None:
    """Most cached tokens first; order of arrival beyond 128 waiting requests."""
    waiting = [{"cached": 0}, {"cached": 64}, {"cached": 32}]
    assert order("lpm", view_of(waiting=waiting)) == [1, 2, 0]
    assert order("lpm", view_of(waiting=waiting, queue=129)) == [0, 1, 2]


@pytest.mark.parametrize("budget", [512, 2048])
def test_sarathi_bounds_the_step_and_never_stalls_decodes(budget: int) -> None:
    """The budget, but no more than the engine's; decodes before prompts under way."""
    name = f"sarathi_{budget}"
    running = [{"computed": 40, "output": 0}, {}, {"prompt": 101, "computed": 100, "output": 0}]
    assert answer(name, "token_budget", view_of(running)) == budget
    assert answer(name, "token_budget", view_of(running, max_tokens=256)) == 256
    assert order(name, view_of(running), "rank_running") == [1, 0, 2]


def test_sarathi_keeps_tokens_coming_while_a_prompt_is_processed() -> None:
    """In the simulator: beside a prompt of 8,000 tokens no decode waits longer than a step of 512 tokens takes."""
    instance = small([0.0, 0.1], [100, 8000], [200, 5])
    strict, relaxed = (serve(instance, policy(name)) for name in ("sarathi_512", "sarathi_2048"))
    assert strict.longest_gap[0] < 0.013
    assert relaxed.longest_gap[0] > 0.04
    assert strict.first_token[1] >= relaxed.first_token[1]


def test_slai_orders_critical_decodes_prompts_and_the_others() -> None:
    """Critical: no later than two mean batch times before the token is due. The most critical first."""
    running = [
        {"last": 9.99},  # may go until 10.09 − 0.02
        {"computed": 50, "output": 0},
        {"last": 9.92},  # 10.02 − 0.02 has come
        {"last": 9.90},
    ]
    assert order("slai", view_of(running), "rank_running") == [3, 2, 1, 0]
    assert order("slai", view_of(waiting=[{"prompt": 300}, {"prompt": 20}])) == [1, 0]


@pytest.mark.parametrize(
    ("waiting", "held"),
    [
        ([{"prompt": 4000}], [True, False, True]),
        ([{"prompt": 510}], [False, False, True]),
        ([{"prompt": 4000}] * 0, [False, False, False]),
        ([{"prompt": 4000, "cached": 3600}], [False, False, False]),
    ],
)
def test_slai_holds_decodes_that_can_wait(waiting: list[dict[str, float]], held: list[bool]) -> None:
    """Only as far as prompts have a use for the tokens; a critical decode is never held."""
    running = [{"last": 9.99}, {"last": 9.90}, {"last": 9.99}]
    assert answer("slai", "hold", view_of(running, waiting)) == held


def test_slai_does_not_wait_for_what_cannot_be_admitted() -> None:
    """A prompt that does not fit into the free blocks, or finds no place, is no reason to hold a decode."""
    running, waiting = [{"last": 9.99}], [{"prompt": 4000}]
    assert answer("slai", "hold", view_of(running, waiting, free_blocks=10)) == [False]
    assert answer("slai", "hold", view_of(running, waiting, max_running=1)) == [False]


def test_slai_brings_first_tokens_sooner_and_keeps_the_pace_asked_for() -> None:
    """In the simulator, on a conversation window: shorter median TTFT than Sarathi-Serve, TPOT within its objective."""
    instance = generate("conversation", 2)
    ours, theirs = serve(instance, policy("slai")), serve(instance, policy("sarathi_512"))
    assert np.median(ours.first_token - instance["arrival"]) < np.median(theirs.first_token - instance["arrival"])
    pace = (ours.finish - ours.first_token) / np.maximum(instance["output"] - 1, 1)
    assert (pace <= instance["tpot"]).mean() > 0.99


@pytest.mark.parametrize(
    ("prompt", "groups"), [(512, 1), (513, 2), (1024, 2), (1025, 4), (2048, 4), (2049, 8), (4096, 8), (4097, 16)]
)
def test_layered_prefill_groups_by_the_size_of_the_cohort(prompt: int, groups: int) -> None:
    """1, 2, 4, 8, 16 groups for up to 512, 1k, 2k, 4k and more tokens; cached ones do not count."""
    view = view_of(waiting=[{"prompt": prompt}], max_tokens=8192)
    assert answer("layered_prefill", "layer_groups", view) == groups
    view = view_of(waiting=[{"prompt": prompt + 160, "cached": 160}], max_tokens=8192)
    assert answer("layered_prefill", "layer_groups", view) == groups


def test_layered_prefill_never_stalls_decodes() -> None:
    """In the simulator: decodes go on in every step while a prompt passes the groups; their gap stays short."""
    instance = changed(small([0.0, 0.1], [100, 2000], [200, 5]), max_tokens=2048)
    layered, plain = serve(instance, policy("layered_prefill"), log=True), serve(instance)
    assert layered.longest_gap[0] < 0.5 * plain.longest_gap[0]
    assert layered.step_log is not None
    in_groups = layered.step_log["layer_groups"] > 1
    assert in_groups.sum() == 4
    assert (layered.step_log["decodes"][in_groups] >= 1).all()


def test_batchllm_keeps_groups_together_and_begins_with_much_decoding() -> None:
    """The group with the larger ratio of decode to prompt goes first, all of it; a begun group before all others."""
    waiting = [
        {"group": 1, "prompt": 100, "predicted": 50},
        {"group": 2, "prompt": 100, "predicted": 80},
        {"group": -1, "prompt": 100, "predicted": 60},
        {"group": 1, "prompt": 100, "predicted": 40},
        {"group": 2, "prompt": 100, "predicted": 70},
    ]
    assert order("batchllm", view_of(waiting=waiting)) == [1, 4, 2, 0, 3]
    waiting[3]["cached"] = 64
    assert order("batchllm", view_of(waiting=waiting)) == [0, 3, 1, 4, 2]


@pytest.mark.parametrize("name", ["batchllm", "nanoflow"])
def test_admission_is_limited_by_the_memory_needed_in_the_end(name: str) -> None:
    """With (100 + 60)/16 = 10 blocks each, 45 blocks hold four requests; the one that runs counts."""
    view = view_of([{"predicted": 60}], [{"predicted": 60}] * 9, total_blocks=45)
    assert answer(name, "admit_limit", view) == 4


def test_fairbatching_puts_prompts_before_decodes_with_slack() -> None:
    """A request's j-th token is due at its TTFT's due time plus j·TPOT: one that was fast may fall back."""
    running = [{"output": 30}, {"computed": 50, "output": 0}, {"ttft_due": 9.8, "output": 2}]
    assert order("fairbatching", view_of(running), "rank_running") == [2, 1, 0]


def test_fairbatching_learns_how_long_a_step_may_be() -> None:
    """After steps of 10 ms + 20 us a token, a slack of 50 ms leaves room for about 2,000 tokens."""
    fair, computed, now = policy("fairbatching"), 0, 0.0
    tokens = [100, 900, 300, 1500, 700, 200, 1200]
    for step in tokens:
        prompt = {"prompt": 10**6, "computed": computed, "output": 0}
        fair.ask("token_budget", view_of([prompt], now=now, last_step=0.01 + 2e-5 * step))
        computed += step
        now += 1.0
    # What a view shows is the state after the step that took `last_step`, so the last pair is off by one step.
    decode = {"ttft_due": now + 0.05 - 0.1, "output": 1, "tpot": 0.01}
    budget = float(fair.ask("token_budget", view_of([decode], now=now, last_step=0.0)))
    assert 1 < budget <= 2048


def test_fairbatching_spends_slack_on_prompts() -> None:
    """In the simulator: a fast decode waits for prompts and still ends when its objectives say; they start sooner."""
    instance = small([0.0, 0.1, 0.1], [100, 8000, 8000], [300, 5, 5])
    ours, theirs = serve(instance, policy("fairbatching")), serve(instance, policy("sarathi_512"))
    assert ours.longest_gap[0] > 2 * theirs.longest_gap[0]
    assert ours.finish[0] <= instance["ttft"][0] + 300 * instance["tpot"][0]
    assert (ours.first_token[1:] < theirs.first_token[1:]).all()


def test_flowprefill_goes_by_deadline_and_gives_up_the_hopeless() -> None:
    """Earliest deadline first among those that can make it; those that cannot come last."""
    flow = policy("flowprefill")
    running = [{"prompt": 10**6, "computed": 0, "output": 0}]
    flow.ask("chunk", view_of(running, now=8.0, last_step=0.01))
    running = [{"prompt": 10**6, "computed": 1000, "output": 0}]
    flow.ask("chunk", view_of(running, now=9.0, last_step=0.1))  # 10,000 tokens/s
    waiting = [{"ttft_due": 12.0}, {"ttft_due": 10.1, "prompt": 5000}, {"ttft_due": 11.0}]
    scores = flow.ask("rank_waiting", view_of(waiting=waiting))
    assert np.argsort(scores).tolist() == [2, 0, 1]


def test_flowprefill_interrupts_a_prompt_under_way() -> None:
    """A running prompt gets nothing while a more urgent one can be admitted, and goes on when it cannot."""
    long = {"prompt": 9000, "computed": 2000, "output": 0, "ttft_due": 15.0}
    urgent = [{"ttft_due": 10.5}]
    assert answer("flowprefill", "chunk", view_of([long, {}], urgent)) == [0, 2048, 2048]
    assert answer("flowprefill", "chunk", view_of([long, {}], urgent, free_blocks=3)) == [2048] * 3
    assert answer("flowprefill", "chunk", view_of([long, {}], [{"ttft_due": 16.0}])) == [2048] * 3


def test_flowprefill_lets_the_urgent_pass_in_the_simulator() -> None:
    """A short prompt that arrives behind a long one with a late deadline has its first token before it."""
    instance = changed(small([0.0, 0.05], [16000, 200], [5, 5]), ttft=[9.0, 0.2])
    first = serve(instance, policy("flowprefill")).first_token
    assert first[1] < first[0]
    assert serve(instance).first_token[1] >= serve(instance).first_token[0]


def test_fastswitch_preempts_low_priorities_and_of_equals_who_is_cheap() -> None:
    """Waiting: by priority, then arrival. Running: by priority, then KV to lose; the last one goes first."""
    waiting = [{"priority": 2}, {"priority": 1, "arrival": 9.5}, {"priority": 1}]
    assert order("fastswitch", view_of(waiting=waiting)) == [2, 1, 0]
    running = [{"priority": 1, "computed": 50}, {"priority": 0}, {"priority": 1, "computed": 90}]
    assert order("fastswitch", view_of(running), "rank_running") == [1, 2, 0]


def test_fastswitch_spares_the_important_in_the_simulator() -> None:
    """When memory runs out, requests of low priority are preempted more often."""
    window = generate("conversation", 1)
    priority = np.arange(len(window["arrival"])) % 2
    outcome = serve(changed(window, priority=priority, blocks=6000), policy("fastswitch"))
    assert outcome.preemptions[priority == 1].sum() > 3 * outcome.preemptions[priority == 0].sum() > -1


def test_layerkv_admits_what_the_least_allowance_has_time_for() -> None:
    """At 10,000 tokens/s, an allowance of 0.3 s has time for 3,000 tokens; at least one prompt is always under way."""
    layer = policy("layerkv")
    layer.ask("admit_limit", view_of([{"prompt": 10**6, "computed": 0, "output": 0}], [{}], now=8.0))
    layer.ask("admit_limit", view_of([{"prompt": 10**6, "computed": 1000, "output": 0}], [{}], now=9.0, last_step=0.1))
    decode = {"ttft_due": 10.2, "output": 1}
    waiting = [{"prompt": 1400}] * 4
    assert float(layer.ask("admit_limit", view_of([decode], waiting, now=10.0))) == 3
    late = {"ttft_due": 9.0, "output": 1}
    assert float(layer.ask("admit_limit", view_of([late], waiting, now=10.0))) == 2


def test_nanoflow_has_a_dense_batch_of_constant_size() -> None:
    """The same number of tokens whatever runs; decodes first."""
    assert answer("nanoflow", "token_budget", view_of([{}] * 9)) == 2048
    assert answer("nanoflow", "token_budget", view_of([{}], max_tokens=1024)) == 1024
    assert order("nanoflow", view_of([{"computed": 3, "output": 0}, {}]), "rank_running") == [1, 0]


def test_sjf_in_small_steps_is_both() -> None:
    """The order of SJF, and decodes that wait for 256 tokens at most."""
    assert order("sjf_256", view_of(waiting=[{"predicted": 50}, {"predicted": 20}])) == [1, 0]
    assert answer("sjf_256", "token_budget", view_of([{}])) == 256
    instance = small([0.0, 0.1], [100, 8000], [200, 5])
    assert serve(instance, policy("sjf_256")).longest_gap[0] < 0.008
