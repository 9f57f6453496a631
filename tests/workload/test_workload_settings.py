"""The `workload` part of the configuration, and synthetic workloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from llmsim.errors import InputError
from llmsim.workload import Lengths, Queries, load, synthetic
from llmsim.workload.settings import shipped_folder

CONF = Path(__file__).parents[2] / "conf" / "workload"

# From the table of the shipped data: queries, means to the printed digits, longest, last arrival.
SHIPPED = {
    "azure_conv": (19_366, 1154.7, 211.1, 14_050, 1000, 3502),
    "azure_code": (8_819, 2047.8, 27.9, 7437, 1899, 3436),
    "mooncake": (12_031, 12035.1, 342.6, 126_195, 2000, 3537),
    "gsm8k": (8_792, 67.0, 130.9, 240, 476, 0),
    "alpaca": (999, 22.48, 169.96, 174, 663, 0),
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def node(name: str, **changes: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(plain, dict)
    return {**{str(key): value for key, value in plain.items()}, **changes}


def refusal(name: str, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(node(name, **changes), rng())
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_workload_file_is_headed_and_named_as_its_group_wants(path: Path) -> None:
    assert path.read_text().splitlines()[0] == "# @package workload"
    assert node(path.stem)["name"] == path.stem


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_trace_is_the_one_that_its_table_describes(name: str) -> None:
    queries = load(node(name), rng())
    count, mean_in, mean_out, max_in, max_out, last_s = SHIPPED[name]
    assert len(queries) == count
    assert queries.tau_in.mean() == pytest.approx(mean_in, abs=0.06)
    assert queries.tau_out.mean() == pytest.approx(mean_out, abs=0.06)
    assert (queries.tau_in.max(), queries.tau_out.max()) == (max_in, max_out)
    assert queries.arrival_s[-1] == pytest.approx(last_s, abs=0.6)
    assert np.all(np.diff(queries.arrival_s) >= 0)
    assert queries.name == name
    assert queries.source
    assert any("arrive at 0 s" in note for note in queries.notes) == (last_s == 0)


def test_with_llama_2_the_default_trace_has_the_queries_too_long_that_it_is_known_for() -> None:
    queries = load(node("azure_conv"), rng())
    assert np.count_nonzero(queries.tau_in + queries.tau_out > 4096) == 1612


def test_every_shipped_trace_has_its_licence_beside_it() -> None:
    readme = (shipped_folder() / "README.md").read_text()
    for file in shipped_folder().glob("*.csv"):
        assert file.name in readme


def test_a_configuration_node_of_omegaconf_is_understood() -> None:
    assert len(load(OmegaConf.create(node("gsm8k", limit=5)), rng())) == 5


def test_a_limit_takes_the_first_of_any_workload(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("tau_in,tau_out\n1,2\n3,4\n")
    own = load(node("csv", path=str(tmp_path / "own.csv"), limit=1), rng())
    assert (own.name, own.tau_in.tolist()) == ("csv", [1])
    assert "own.csv" in own.source
    for name in ("azure_conv", "synthetic"):
        whole, first = load(node(name), rng()), load(node(name, limit=7), rng())
        assert first.arrival_s.tolist() == whole.arrival_s[:7].tolist()
        assert first.tau_out.tolist() == whole.tau_out[:7].tolist()
        assert first.notes[-1].startswith("Only the first 7 of")


def test_a_workload_of_ones_own_needs_a_path() -> None:
    assert refusal("csv").startswith("workload=csv needs workload.path=FILE")


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("azure_conv", {"limit": 0}, "workload.limit=0: at least 1 query"),
        ("synthetic", {"limit": -3}, "workload.limit=-3: at least 1 query"),
        ("azure_conv", {"limit": "many"}, "workload.limit"),
        ("azure_conv", {"limit": 1.5}, "workload.limit"),
        ("azure_conv", {"limmit": 3}, "workload.limmit: no such setting. Did you mean 'limit'?"),
        ("azure_conv", {"rate_per_s": 3.0}, "workload.rate_per_s: only workload=synthetic has this"),
        ("azure_conv", {"tau_in_max": 0}, "workload.tau_in_max=0: at least 1 token"),
        ("azure_conv", {"tau_out_max": -5}, "workload.tau_out_max=-5: at least 1 token"),
        ("azure_conv", {"kind": "shiped"}, "workload.kind: 'shiped'. Did you mean 'shipped'?"),
        ("azure_conv", {"path": "azure_2023_conf.csv"}, "Did you mean 'azure_2023_conv.csv'?"),
        ("azure_conv", {"path": "../README.md"}, "no such shipped trace"),
        ("azure_conv", {"path": "mine.csv"}, "workload=csv workload.path=FILE"),
        ("csv", {"path": "/no/such/file.csv"}, "/no/such/file.csv: no such file"),
        ("synthetic", {"path": "x.csv"}, "workload.path=x.csv: a synthetic workload has no file"),
        ("synthetic", {"rate_per_s": None}, "workload.rate_per_s: a synthetic workload needs a value"),
        ("synthetic", {"queries": 0}, "workload.queries=0: must be 1 to"),
        ("synthetic", {"queries": 10**12}, "must be 1 to 100,000,000"),
        ("synthetic", {"rate_per_s": 0.0}, "workload.rate_per_s=0: must be a finite number above 0"),
        ("synthetic", {"rate_per_s": float("inf")}, "workload.rate_per_s=inf: must be a finite"),
        ("synthetic", {"rate_per_s": float("nan")}, "workload.rate_per_s=nan: must be a finite"),
        ("synthetic", {"rate_per_s": 1e-9}, "would take over 31 years"),
        ("synthetic", {"tau_in_mean": 0.5}, "workload.tau_in_mean=0.5: must be 1 to workload.tau_in_max"),
        ("synthetic", {"tau_out_mean": float("nan")}, "workload.tau_out_mean=nan: must be 1"),
        ("synthetic", {"tau_in_mean": 1e5}, "workload.tau_in_mean=100000: must be 1 to workload.tau_in_max"),
        ("synthetic", {"tau_in_cv": -1.0}, "workload.tau_in_cv=-1: must be a finite number of at least 0"),
        ("synthetic", {"tau_out_cv": float("inf")}, "workload.tau_out_cv=inf: must be"),
        ("synthetic", {"tau_out_max": 0}, "workload.tau_out_max=0: must be 1 to"),
        ("synthetic", {"tau_out_max": 10**8}, "workload.tau_out_max=100000000: must be 1 to"),
    ],
)
def test_an_impossible_setting_is_refused_by_its_key(name: str, changes: dict[str, Any], says: str) -> None:
    assert says in refusal(name, **changes)


@settings(max_examples=15)
@given(st.integers(1, 20_000), st.integers(1, 1200), st.integers(1, 400))
def test_a_trace_is_cut_to_the_longest_lengths_asked_for_and_says_how_many_were(
    most_in: int, most_out: int, limit: int
) -> None:
    whole = load(node("azure_conv", limit=limit), rng())
    cut = load(node("azure_conv", limit=limit, tau_in_max=most_in, tau_out_max=most_out), rng())
    assert np.array_equal(cut.arrival_s, whole.arrival_s)
    for name, what, most in (("tau_in", "prompts", most_in), ("tau_out", "answers", most_out)):
        before, after = getattr(whole, name), getattr(cut, name)
        assert np.array_equal(after[before <= most], before[before <= most])
        assert np.all(after[before > most] == most)
        count = np.count_nonzero(before > most)
        assert f"{count} of {limit} {what} are longer than {most:,} tokens, and cut to it." in cut.notes
    assert cut.notes[: len(whole.notes)] == whole.notes


lengths = st.builds(
    lambda mean, cv, room: Lengths(mean, cv, int(mean) + room),
    st.floats(1, 5000),
    st.floats(0, 5),
    st.integers(1, 10_000),
)


@given(st.integers(1, 300), st.floats(1e-3, 1e4), lengths, lengths, st.integers(0, 99))
def test_synthetic_queries_are_in_order_within_bounds_and_repeatable(
    count: int, rate_per_s: float, tau_in: Lengths, tau_out: Lengths, seed: int
) -> None:
    queries = synthetic(count, rate_per_s, tau_in, tau_out, rng(seed))
    assert len(queries) == len(queries.tau_in) == len(queries.tau_out) == count
    assert np.all(np.diff(queries.arrival_s) >= 0)
    assert queries.arrival_s[0] >= 0
    for tokens, law in ((queries.tau_in, tau_in), (queries.tau_out, tau_out)):
        assert tokens.dtype == np.int64
        assert tokens.min() >= 1
        assert tokens.max() <= law.maximum
    again = synthetic(count, rate_per_s, tau_in, tau_out, rng(seed))
    assert bytes_of(queries) == bytes_of(again)


def test_synthetic_queries_have_the_rate_and_the_moments_asked_for() -> None:
    tau_in, tau_out = Lengths(800.0, 0.7, 1_000_000), Lengths(200.0, 1.2, 1_000_000)
    queries = synthetic(200_000, 4.0, tau_in, tau_out, rng(1))
    gaps = np.diff(queries.arrival_s)
    assert gaps.mean() == pytest.approx(1 / 4.0, rel=0.01)
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.02)  # exponential gaps: a Poisson process
    for tokens, law in ((queries.tau_in, tau_in), (queries.tau_out, tau_out)):
        assert tokens.mean() == pytest.approx(law.mean, rel=0.02)
        assert tokens.std() / tokens.mean() == pytest.approx(law.cv, rel=0.05)


def test_without_variation_all_lengths_are_alike() -> None:
    queries = synthetic(50, 1.0, Lengths(100.0, 0.0, 200), Lengths(7.0, 0.0, 7), rng())
    assert set(queries.tau_in.tolist()) == {100}
    assert set(queries.tau_out.tolist()) == {7}


def bytes_of(queries: Queries) -> bytes:
    return queries.arrival_s.tobytes() + queries.tau_in.tobytes() + queries.tau_out.tobytes()


def test_a_trace_can_be_cut_sped_up_repeated_and_given_other_arrivals():
    whole = load(node("azure_conv"), rng())
    part = load(node("azure_conv", window_s=[100, 400]), rng())
    assert len(part) == ((whole.arrival_s >= 100) & (whole.arrival_s < 400)).sum()
    fast = load(node("azure_conv", speed=4.0), rng())
    assert fast.arrival_s[-1] == pytest.approx(whole.arrival_s[-1] / 4)
    twice = load(node("azure_conv", repeat=2, repeat_jitter_s=1.0), rng())
    assert len(twice) == 2 * len(whole)
    poisson = {"process": "poisson", "rate_per_s": 3.0}
    other = load(node("azure_conv", arrivals=poisson), rng())
    assert other.tau_in.tolist() == whole.tau_in.tolist()
    assert len(other) / other.arrival_s[-1] == pytest.approx(3.0, rel=0.05)
    drawn = load(node("azure_conv", arrivals=poisson, resample=500), rng())
    pairs = set(zip(whole.tau_in.tolist(), whole.tau_out.tolist(), strict=True))
    assert len(drawn) == 500
    assert set(zip(drawn.tau_in.tolist(), drawn.tau_out.tolist(), strict=True)) <= pairs


def test_lengths_cannot_be_drawn_without_arrivals():
    assert "workload.resample=5: needs workload.arrivals" in refusal("azure_conv", resample=5)
