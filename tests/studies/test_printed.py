"""The curves as printed are met to the printed digits."""

import numpy as np
import pytest

from llmsim.errors import InputError
from llmsim.studies.printed import printed_curve


@pytest.mark.parametrize(
    ("system", "model", "energy", "runtime"),
    [
        ("swing-a100", "llama2-7b", ("-3.89", "31.52", "0.0427"), ("-0.01", "0.0835", "0.000107")),
        ("swing-a100", "llama2-70b", ("-12.03", "414.8", "0.315"), ("-0.0312", "0.703", "0.000533")),
        # The companion's M1 Pro: 89 rows, five of them of generations that ended early.
        ("m1-pro", "llama2-7b", ("-0.322916", "4.644266", "0.097094"), ("-0.0150", "0.3664", "0.0072")),
    ],
)
def test_coefficients_agree_to_the_printed_digits(system, model, energy, runtime):
    curve = printed_curve(system, model)
    for found, printed in zip(curve.energy + curve.runtime, energy + runtime, strict=True):
        places = len(printed.partition(".")[2])
        assert abs(found - float(printed)) <= 0.51 * 10.0**-places


def test_it_costs_what_its_terms_say_and_claims_no_error():
    curve = printed_curve("swing-a100", "llama2-7b")
    cost = curve.cost(np.array([100, 9]), np.array([10, 3000]))
    assert cost.energy_j == pytest.approx(
        [
            curve.energy @ np.array([100, 10, 1000]),
            curve.energy @ np.array([9, 3000, 27000]),
        ]
    )
    assert np.isnan(cost.energy_se_j).all()
    assert cost.extrapolated.tolist() == [False, True]


def test_what_was_not_printed_is_refused():
    with pytest.raises(InputError, match="printed no curve of mistral-7b on m1-pro"):
        printed_curve("m1-pro", "mistral-7b")
