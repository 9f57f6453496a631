"""The arrays behind the plots."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.report import series
from tests.report.conftest import NAMES, Run

spans = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 50), st.floats(0.1, 900)), min_size=0, max_size=30
).map(lambda rows: np.array(rows, dtype=float).reshape(-1, 3))


@given(spans, st.integers(1, 20))
def test_the_mean_level_keeps_the_integral(rows: np.ndarray, bins: int) -> None:
    start, took, rate = rows.T
    edges = np.linspace(0.0, 160.0, bins + 1)
    level = series.mean_level(start, start + took, rate, edges)
    assert (level * np.diff(edges)).sum() == pytest.approx((took * rate).sum(), rel=1e-9, abs=1e-6)


@given(spans)
def test_the_mean_level_agrees_with_adding_up_overlaps(rows: np.ndarray) -> None:
    start, took, rate = rows.T
    edges = np.linspace(0.0, 160.0, 9)
    for low, high, level in zip(
        edges[:-1], edges[1:], series.mean_level(start, start + took, rate, edges), strict=True
    ):
        overlap = np.clip(np.minimum(start + took, high) - np.maximum(start, low), 0, None)
        assert level * (high - low) == pytest.approx((overlap * rate).sum(), rel=1e-9, abs=1e-6)


@given(spans)
def test_the_peak_is_the_most_that_run_at_any_start(rows: np.ndarray) -> None:
    start, took, _ = rows.T
    start, end = start[took > 0], (start + took)[took > 0]
    most = max((int(((start <= t) & (end > t)).sum()) for t in start), default=0)
    assert series.peak(start, end) == most


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=500), st.integers(2, 60))
def test_a_thinned_distribution_is_part_of_the_full_one_with_both_ends(
    values: list[float], most: int
) -> None:
    ordered = np.sort(np.array(values))
    value, part = series.thinned(ordered, most)
    assert len(value) <= max(most, 2)
    assert (value[0], value[-1], part[-1]) == (ordered[0], ordered[-1], 1.0)
    for v, p in zip(value, part, strict=True):
        assert v == ordered[round(p * len(ordered)) - 1]


def test_refused_queries_have_no_deployment_and_no_times(shared_run: Run) -> None:
    served = series.read(shared_run.queries)
    gone = served.deployment == series.REFUSED
    assert gone.sum() == shared_run.summary["refused"]
    assert np.isnan(served.end_s[gone]).all()
    assert not np.isnan(served.end_s[~gone]).any()


def test_plain_chunked_and_empty_columns_of_names_are_read_alike(shared_run: Run) -> None:
    table = shared_run.queries
    plain = table.set_column(4, "deployment", pa.array(table["deployment"].to_pylist()))
    chunked = pa.concat_tables([plain.slice(0, 100), plain.slice(100)])

    def names(t: pa.Table) -> list[str | None]:
        read = series.read(t)
        return [None if d < 0 else read.names[d] for d in read.deployment]

    assert names(table) == names(plain) == names(chunked)
    assert set(names(table)) <= {*NAMES, None}
    assert len(series.read(table.slice(0, 0)).deployment) == 0


def test_a_sample_is_even_and_the_same_each_time() -> None:
    index = np.arange(1000)
    assert len(series.every(index, 10)) == 10
    assert (series.every(index, 10) == series.every(index, 10)).all()
    assert (series.every(index, 5000) == index).all()
