"""Laws of the numbers that a report shows."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.report import figures
from llmsim.report.figures import ABSENT, ENERGY, PERCENT, TIME, common_scale, count, number, quantity

sizes = st.floats(min_value=1e-3, max_value=1e16, allow_nan=False)
signed = st.one_of(sizes, sizes.map(lambda x: -x))


def read_back(text: str, ladder: figures.Ladder) -> float:
    digits, _, unit = text.partition(" ")
    factor = {sign: size for size, sign in ladder}[unit]
    return float(digits.replace(",", "").replace("−", "-")) * factor


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(figures).failed == 0


@given(signed)
def test_a_quantity_read_back_is_the_value_to_four_digits(value: float) -> None:
    assert read_back(quantity(value, ENERGY), ENERGY) == pytest.approx(value, rel=5.001e-4)


@given(st.floats(min_value=1e-3, max_value=9.99e17))
def test_a_quantity_has_one_to_three_digits_before_the_point(value: float) -> None:
    whole = quantity(value, ENERGY).split(" ")[0].split(".")[0]
    assert 1 <= len(whole) <= 3
    assert whole != "0"


@given(sizes, sizes)
def test_order_is_kept(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert read_back(quantity(low, ENERGY), ENERGY) <= read_back(quantity(high, ENERGY), ENERGY)


@given(st.one_of(st.none(), st.sampled_from([float("nan"), float("inf"), float("-inf")])))
def test_what_is_missing_is_a_dash_and_never_a_number(value: float | None) -> None:
    shown = {
        number(value), quantity(value, TIME), count(value), figures.percent(value), figures.within(value),
        common_scale([value, 1.0], ENERGY).text(value),
    }  # fmt: skip
    assert shown == {ABSENT}


def test_nothing_is_zero_and_not_a_dash() -> None:
    assert (quantity(0.0, ENERGY), quantity(0.0, TIME), count(0)) == ("0 J", "0 s", "0")
    assert common_scale([0.0, 0.0], ENERGY).text(0.0) == "0"


@given(st.lists(signed, min_size=1, max_size=12))
def test_a_column_never_shows_something_as_nothing(values: list[float]) -> None:
    scale = common_scale(values, ENERGY)
    for value in values:
        assert re.search("[1-9]", scale.text(value))


@given(st.lists(sizes, min_size=1, max_size=12))
def test_a_column_keeps_order_and_its_largest_cell_is_short(values: list[float]) -> None:
    scale = common_scale(values, ENERGY)
    ordered = sorted(values)
    cells = [scale.text(v) for v in ordered]
    shown = [0.0 if c.startswith("<") else float(c.replace(",", "")) for c in cells]
    assert shown == sorted(shown)
    assert len(re.sub("[^0-9]", "", cells[-1])) <= 7


@given(st.lists(st.floats(min_value=1.0, max_value=99.0), min_size=1, max_size=8))
def test_a_column_of_like_values_is_exact_to_half_a_last_digit(values: list[float]) -> None:
    scale = common_scale(values, PERCENT, digits=4)
    for value in values:
        assert abs(float(scale.text(value)) - value) <= 0.5001 * 10**-scale.places


@given(st.floats(min_value=-0.9, max_value=0.9))
def test_a_gap_is_never_stated_smaller_than_it_is(gap: float) -> None:
    text = figures.within(gap)
    stated = float(text.removesuffix(" %")) / 100 if text.endswith("%") else float(text)
    assert stated >= abs(gap) * (1 - 1e-8)
    assert stated <= max(abs(gap) * 1.11, 1.1e-12)


def test_a_share_of_nothing_is_absent() -> None:
    assert figures.share(1, 0) is None
    assert figures.share(None, 3) is None
    assert figures.share(1, 4) == 25.0
