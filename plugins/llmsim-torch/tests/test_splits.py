import pytest

pytest.importorskip("triton")

from llmsim_torch.triton_ops import MOST_SPLITS, splits_of


@pytest.mark.parametrize("most", [0, 1, 5, 6, 8, 100])
@pytest.mark.parametrize("fewest", [1, 4])
@pytest.mark.parametrize("wanted", [0.3, 1.0, 2.6, 16.5, 1000.0])
def test_a_cache_is_divided_into_a_power_of_two_of_parts_that_are_long_enough(wanted, fewest, most):
    splits = splits_of(wanted, fewest, most)
    assert splits & (splits - 1) == 0
    assert 1 <= splits <= max(1, min(most, MOST_SPLITS))
    assert splits >= min(max(wanted, fewest), most, MOST_SPLITS) / 2
