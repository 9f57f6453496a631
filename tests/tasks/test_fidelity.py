"""task=fidelity: measured runs from a journal, the simulator's beside them, and what the gap is made of."""

from __future__ import annotations

import dataclasses
import gzip
import json
import tempfile
from io import StringIO

import numpy as np
import pytest
import yaml
from rich.console import Console

from llmsim.api import InputError, load_config
from llmsim.backends import BACKENDS
from llmsim.report.fidelity_summary import RANKED, Settings, broken, summarise
from llmsim.studies.fidelity import FIGURES
from llmsim.tasks import TASKS, fidelity_cases, measuring
from tests.tasks.made_up_card import Pot

WORDS = [
    "task=fidelity", "hardware=a100_80gb", "model=[llama2_70b]", "policy=optimal", "fleet=one_each",
    "workload.limit=60", "fleet.serving.max_batch=8", "fleet.serving.batch_wait_s=1.0",
    "baselines=[round_robin]", "report=figures",
]  # fmt: skip
TWO = [
    "model=[llama2_70b,bloom_176b]",
    "model.bloom_176b.accuracy_pct=50",
    "baselines=[round_robin,queue_aware]",
]


def latest(words):
    """Of words for one setting, the last."""
    return list({word.partition("=")[0]: word for word in words}.values())


@pytest.fixture
def card(monkeypatch, tmp_path):
    """Runs the task on a made-up card; gives the comparison."""
    made_up = dataclasses.replace(
        BACKENDS, built_in={**BACKENDS.built_in, "card": "tests.tasks.made_up_card:Card"}
    )
    monkeypatch.setattr("llmsim.tasks.fidelity.BACKENDS", made_up)
    monkeypatch.setattr(measuring, "open_meters", lambda *_: ([], []))
    monkeypatch.setattr(measuring, "Grouped", Pot)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where devices are locked
    monkeypatch.chdir(tmp_path)

    def run(*words, **backend):
        config = load_config(latest([*WORDS, *words]))
        config.backend = {"name": "card", **backend}
        return TASKS.build(config.task).run(config)

    return run


DISCIPLINES = [f"fleet.serving.discipline={name}" for name in ("serial", "static", "continuous")]


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_card_that_is_as_its_curves_say_has_no_gap(card, discipline):
    found = card(discipline, *TWO)
    assert list(found.summary["rows"]) == ["optimal", "round_robin", "queue_aware"]
    for row in found.summary["rows"].values():
        assert tuple(row["gap_pct"]) == FIGURES
        gaps = np.array(list(row["gap_pct"].values()), float)
        assert np.isfinite(gaps).all()
        assert np.abs(gaps).max() < 1e-7
        assert row["same_choices_pct"] == 100.0
        for parts in row["parts"].values():
            shares = [parts[key] / parts["measured"] for key in ("curve", "scheduling", "choices")]
            assert np.abs(shares).max() < 1e-9
    assert found.objective < 1e-7


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_the_parts_sum_to_the_gap_and_a_journal_replays_identically(card, discipline, tmp_path):
    found = card(discipline, *TWO, factor=1.02, noise=0.003)
    for row in found.summary["rows"].values():
        for key, parts in row["parts"].items():
            named = [parts.get(part, 0.0) for part in ("curve", "overhead", "scheduling", "choices")]
            gap = row["simulated"][key] - row["measured"][key]
            assert sum(named) == pytest.approx(gap, rel=1e-9, abs=1e-9 * parts["measured"])
            assert parts["measured"] == pytest.approx(row["measured"][key])
        energy, serving = row["parts"]["energy_active_j"], row["parts"]["serving_s"]
        assert 100 * energy["curve"] / energy["measured"] == pytest.approx(-2.0, abs=0.4)
        assert serving["curve_prefill"] + serving["curve_decode"] == pytest.approx(serving["curve"])
        assert sum(
            item["parts"]["energy_active_j"]["curve"] for item in row["deployments"].values()
        ) == pytest.approx(energy["curve"])
    pieces = found.pieces.to_pandas()
    own = pieces[pieces["policy"] == "optimal"]
    parts = found.summary["rows"]["optimal"]["parts"]
    assert own["measured_j"].sum() == pytest.approx(parts["energy_active_j"]["measured"])
    assert (own["predicted_s"] - own["busy_s"]).sum() == pytest.approx(parts["serving_s"]["curve"])
    (journal,) = measuring.FOLDER.iterdir()
    again = card(discipline, *TWO, name="recorded", path=str(journal))
    assert again.summary["rows"] == found.summary["rows"]
    assert again.queries.equals(found.queries)
    assert again.pieces.equals(found.pieces)


def test_what_was_not_the_engines_work_is_overhead(card):
    card(DISCIPLINES[2], factor=1.02)
    (journal,) = measuring.FOLDER.iterdir()
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    for entry in entries:
        if entry["kind"] == "work":
            entry["took"]["busy_s"] = 0.95 * entry["took"]["runtime_s"]
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    found = card(DISCIPLINES[2], "clock=wall", name="recorded", path=str(journal))
    for row in found.summary["rows"].values():
        serving, makespan = row["parts"]["serving_s"], row["parts"]["makespan_s"]
        assert serving["overhead"] == pytest.approx(-0.05 * serving["measured"])
        assert serving["curve"] == pytest.approx((1 / 1.02 - 0.95) * serving["measured"])
        assert serving["curve_prefill"] + serving["curve_decode"] == pytest.approx(serving["curve"])
        assert makespan["overhead"] < 0 < makespan["curve"]
        for parts in (serving, makespan):
            shares = [parts[key] for key in ("curve", "overhead", "scheduling", "choices")]
            assert sum(shares) == pytest.approx(parts["simulated"] - parts["measured"], abs=1e-9)


def test_a_policy_that_would_choose_otherwise_now_is_played_as_it_was_measured(card):
    card(*TWO, "policy.zeta=1", factor=1.02)
    (journal,) = measuring.FOLDER.iterdir()
    found = card(*TWO, "policy.zeta=0", name="recorded", path=str(journal))
    row = found.summary["rows"]["optimal"]
    assert row["same_choices_pct"] < 100
    assert abs(row["parts"]["energy_active_j"]["choices"]) > 0.01 * row["measured"]["energy_active_j"]
    assert found.summary["rows"]["round_robin"]["parts"]["energy_active_j"]["choices"] == 0.0


def test_a_baseline_of_the_same_name_with_other_parameters_has_a_row_and_a_journal_of_its_own(card):
    words = ("policy.zeta=0", "baselines=[optimal,round_robin,round_robin]")
    rows = card(*TWO, *words).summary["rows"]
    assert list(rows) == ["optimal", "optimal (defaults)", "round_robin"]
    energies = [row["measured"]["energy_active_j"] for row in rows.values()]
    assert energies[0] > energies[1]
    (journal,) = measuring.FOLDER.iterdir()
    runs = {json.loads(line)["run"] for line in journal.read_text().splitlines()}
    assert runs == {f"{label}, seed 0" for label in rows}


@pytest.mark.parametrize("predictor", ["oracle", "noisy"])
def test_a_policy_that_is_mistaken_about_lengths_has_no_choices_part_where_it_chooses_alike(card, predictor):
    words = (
        "policy=queue_aware",
        f"policy.predictor={predictor}",
        "baselines=[]",
        "fleet.serving.kv=reserve",
    )
    full = ("workload.arrivals={process: at_once}", "fleet.serving.max_batch=64", "fleet.serving.kv=reserve")
    row = card(*TWO, *words, *full, DISCIPLINES[2]).summary["rows"]["queue_aware"]
    assert row["same_choices_pct"] == 100.0
    for parts in row["parts"].values():
        assert parts["choices"] == pytest.approx(0.0, abs=1e-9 * parts["measured"])
        assert parts["scheduling"] == pytest.approx(0.0, abs=1e-9 * parts["measured"])


def test_what_is_shown_and_written(card, tmp_path):
    found = card(
        *TWO, DISCIPLINES[2], "report=full", "replications=3",
        "workload.arrivals={process: poisson, rate_per_s: 1}",
        "task.targets={energy_active_j: 30, latency_s.p99: 0.5}",
        factor=1.02, noise=0.003,
    )  # fmt: skip
    found.save(tmp_path)
    saved = json.loads((tmp_path / "fidelity.json").read_text())
    assert saved["targets"]["energy_active_j"]["kept"]
    assert not saved["targets"]["latency_s.p99"]["kept"]
    assert saved["replications"]["count"] == 3
    assert saved["replications"]["rows"]["optimal"]["gap_pct.energy_active_j"]["half_width"] > 0
    assert all(pair["half_width"] > 0 for pair in saved["ranking"]["pairs"])
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") == 7
    assert "held to 0.5\N{NO-BREAK SPACE}%" in page
    screen = StringIO()
    found.show(Console(file=screen, width=160))
    assert "What the gaps are made of" in screen.getvalue()


def test_without_joules_times_are_compared_and_energy_is_absent_with_a_reason(card, monkeypatch, tmp_path):
    after = Pot.after
    monkeypatch.setattr(Pot, "after", lambda pot, name, s: after(pot, name, s) if "llama" in name[1] else [])
    words = ("baselines=[]", "policy=round_robin", "report=full", "task.targets={energy_active_j: 3}")
    found = card(*TWO, *words, factor=1.02)
    found.save(tmp_path)
    row = found.summary["rows"]["round_robin"]
    assert (row["measured"]["energy_active_j"], row["parts"]["energy_active_j"]) == (None, None)
    assert row["absent"]["measured.energy_active_j"] == "not all joules of what was served were measured"
    assert row["gap_pct"]["makespan_s"] < 0
    assert np.isnan(found.objective)
    assert found.summary["ranking"]["alike"] is None
    llama, bloom = (one["parts"]["energy_active_j"] for one in row["deployments"].values())
    assert (llama["curve"] < 0, bloom) == (True, None)
    assert "the gap of round_robin with seed 0 is not known" in (tmp_path / "report.html").read_text()
    screen = StringIO()
    found.show(Console(file=screen, width=400))
    for text in ("measured.energy_active_j of round_robin: not all joules", *found.summary["notes"]):
        assert text in screen.getvalue()


def test_joules_that_were_estimated_are_called_so_wherever_they_are_shown(card, monkeypatch, tmp_path):
    after = Pot.after
    monkeypatch.setattr(
        Pot, "after", lambda *of: [dataclasses.replace(share, method="estimated") for share in after(*of)]
    )
    found = card("report=full")
    found.save(tmp_path)
    screen = StringIO()
    found.show(Console(file=screen, width=400))
    for text in (screen.getvalue(), (tmp_path / "report.html").read_text()):
        assert "The joules beside the simulated ones are estimated (gpu_boards), not measured." in text
        assert "energy, estimated" in text
        assert "energy, measured" not in text
        assert "makespan, measured" in text


def unexplained(node, absent, path=()):
    """Paths of figures that are null and of which nothing says why."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from unexplained(value, absent, (*path, key))
    elif node is None:
        sides = ("measured", "simulated", "gap_pct") if "gap_pct" in path else (None,)
        told = [".".join(side if key == "gap_pct" else key for key in path) for side in sides]
        if not any(name == key or name.startswith(f"{key}.") for name in told for key in absent):
            yield ".".join(path)


def test_every_figure_that_is_null_says_why(card, monkeypatch):
    one = ("policy=single", "policy.deployment=bloom_176b@a100_80gb", "baselines=[round_robin]")
    found = card(*TWO, *one, "workload.tau_out_max=1")
    monkeypatch.setattr(Pot, "after", lambda *_: [])
    unmetered = card(*TWO, *one, "seed=5")
    for summary in (found.summary, unmetered.summary):
        assert [list(unexplained(row, row["absent"])) for row in summary["rows"].values()] == [[], []]
    row = found.summary["rows"]["single"]
    assert row["absent"]["measured.tpot_s"] == "no answer has more than one token"
    assert row["absent"]["deployments.llama2_70b@a100_80gb.measured"] == "no query was sent there"
    assert row["deployments"]["llama2_70b@a100_80gb"]["gap_pct"]["energy_active_j"] is None


@pytest.mark.parametrize(
    ("words", "backend", "message"),
    [
        ((), {"name": "simulator"}, "backend=recorded"),
        (("task.energy_interval_pct=1",), {}, "energy_interval_source"),
        (("task.energy_interval_source=anchors",), {}, "energy_interval_pct"),
        (("task.seeds=[0,1]", "replications=3"), {}, "Leave one out"),
        (("task.targets={energy_j: 3}",), {}, "energy_j"),
        (("task.seeds=[1,1]",), {}, "each once"),
        (("task.targets={energy_active_j: -3}",), {}, "per cent"),
        (("task.case=nothing",), {}, "task.case=nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused(card, words, backend, message):
    with pytest.raises(InputError, match=message):
        card(*words, **backend)


@pytest.mark.parametrize("pct", [0.0, 90.0])
def test_policies_rank_alike_where_the_difference_exceeds_the_interval(card, pct):
    words = (f"task.energy_interval_pct={pct}", "task.energy_interval_source=made up")
    found = card(*TWO, *words, factor=1.02, noise=0.003).summary["ranking"]
    assert found["alike"] is (None if pct else True)
    assert [pair["exceeds"] for pair in found["pairs"]] == [not pct] * 3


def test_runs_of_several_journals_are_repeats(card, tmp_path):
    words = ("fleet.serving.discipline=static", "workload.arrivals={process: at_once}")
    for seed in (0, 1, 2):
        card(*words, f"task.seeds=[{seed}]", factor=1.02 + seed / 1000)
    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(path.read_text() for path in sorted(measuring.FOLDER.iterdir())))
    found = card(*words, "task.seeds=[2,0,1]", name="recorded", path=str(whole)).summary
    assert found["seed"] == 2
    gap = found["replications"]["rows"]["optimal"]["gap_pct.energy_active_j"]
    assert gap["mean"] == pytest.approx(-2.06, abs=0.01)
    assert 0.1 < gap["half_width"] < 0.5
    assert found["rows"]["optimal"]["parts"]["makespan_s"]["scheduling"] == pytest.approx(0, abs=1e-9)


def test_the_order_of_policies_and_what_gaps_are_held_to_are_of_all_seeds():
    joules = {"a": [(1.0, 1.0), (9.0, 9.9)], "b": [(2.0, 2.1), (2.0, 2.1)]}
    found = [
        {
            label: {
                "measured": {RANKED: ours},
                "simulated": {RANKED: theirs},
                "gap_pct": {RANKED: 100 * (theirs - ours) / ours},
            }
            for label, values in joules.items()
            for ours, theirs in (values[number],)
        }
        for number in range(2)
    ]
    summary = summarise(found, (7, 8), Settings(targets={RANKED: 6}))
    (pair,) = summary["ranking"]["pairs"]
    assert (pair["measured"], pair["simulated"]) == pytest.approx((-3.0, -3.35))
    assert summary["ranking"]["order"] == {"measured": ["b", "a"], "simulated": ["b", "a"]}
    worst = {"worst_pct": pytest.approx(10), "worst_row": "a", "worst_seed": 8, "kept": False}
    assert summary["targets"][RANKED] == {"limit_pct": 6, **worst}
    assert broken(summary) == ["energy_active_j: the gap of a with seed 8 is +10.00 %, and is held to 6 %"]


def case(folder, card, targets):
    """A shipped comparison, made in a folder."""
    card("fleet.serving.discipline=static", factor=1.02, noise=0.003)
    (journal,) = measuring.FOLDER.iterdir()
    folder.mkdir(exist_ok=True)
    (folder / "made_up.jsonl.gz").write_bytes(gzip.compress(journal.read_bytes()))
    words = [
        *WORDS,
        "backend=torch",
        "backends.llama2_70b=torch",
        "hydra.run.dir=x",
        "fleet.serving.discipline=static",
    ]
    told = {"words": words, "card": "made up", "dates": "2026-11-22", "provenance": "a test"}
    (folder / "made_up.yaml").write_text(yaml.safe_dump({**told, "targets": targets}))


def checked(name, where=None):
    """What a shipped comparison breaks of what it is held to."""
    found = fidelity_cases.case_of(name, where=where)
    found.config.report = "figures"
    return broken(TASKS.build({**found.config.task, "case": None}).run(found.config).summary)


def test_a_gap_that_leaves_its_target_is_found(card, tmp_path):
    folder = tmp_path / "cases"
    case(folder, card, {"energy_active_j": 3, "makespan_s": 4})
    assert fidelity_cases.names(folder) == ["made_up"]
    assert checked("made_up", folder) == []
    case(folder, card, {"energy_active_j": 1, "makespan_s": 4})
    (told,) = checked("made_up", folder)
    assert "energy_active_j" in told
    assert "held to 1 %" in told


def test_a_shipped_comparison_is_run_by_its_name(card, tmp_path, monkeypatch):
    case(tmp_path, card, {"energy_active_j": 3})
    monkeypatch.setattr(fidelity_cases, "folder", lambda: tmp_path)
    for added in ([], ["baselines=[]"]):  # as a sweep over comparisons has it
        config = load_config(["task=fidelity", "task.case=made_up", "report=figures", *added])
        found = TASKS.build(config.task).run(config).summary
        assert found["case"]["card"] == "made up"
        assert found["targets"]["energy_active_j"]["kept"]
        assert len(found["rows"]) == 2
    config = load_config(["task=fidelity", "task.case=made_up", "policy=random"])
    with pytest.raises(InputError, match="leave out the other words"):
        TASKS.build(config.task).run(config)


@pytest.mark.parametrize("name", fidelity_cases.names())
def test_the_simulator_is_as_near_to_what_was_measured_as_it_is_held_to_be(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = checked(name)
    # One that is within its target again is no miss any more, and is to be held to it from then on.
    assert {text.split(":")[0] for text in told} == set(fidelity_cases.case_of(name).file.misses), told
