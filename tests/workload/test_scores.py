"""Accuracy columns of a workload: none is passed over without a word."""

import numpy as np
import pytest

from llmsim.errors import InputError
from llmsim.workload import check_scored, read_trace
from tests.builders import queries

KNOWN = ["llama2_7b", "llama2_13b", "mistral_7b"]


def workload(**accuracy_pct):
    columns = {model: np.array(values, dtype=float) for model, values in accuracy_pct.items()}
    n = len(next(iter(columns.values()), [0]))
    return queries([1] * n, [1] * n, accuracy_pct=columns)


def test_columns_of_chosen_models_in_percent_need_no_word():
    assert (
        check_scored(workload(llama2_7b=[0, 50], llama2_13b=[1, 1.5]), ["llama2_7b", "llama2_13b"], KNOWN)
        == []
    )
    assert check_scored(workload(), ["llama2_7b"], KNOWN) == []


@pytest.mark.parametrize("misspelt", ["lama2_7b", "LLAMA2_7B", "llama2_7", "llama2-7b"])
def test_a_column_of_no_known_model_is_refused_with_the_nearest(misspelt):
    with pytest.raises(
        InputError, match=f"column 'accuracy_{misspelt}': no such model. Did you mean 'llama2_7b'"
    ):
        check_scored(workload(**{"mistral_7b": [50], misspelt: [50]}), ["llama2_7b"], KNOWN)


def test_a_misspelt_column_of_a_file_is_named_with_the_file(tmp_path):
    (tmp_path / "t.csv").write_text("tau_in,tau_out,accuracy_lama2_7b\n1,2,50\n")
    with pytest.raises(InputError, match=r"t\.csv: column 'accuracy_lama2_7b': no such model"):
        check_scored(read_trace(tmp_path / "t.csv"), ["llama2_7b"], KNOWN)


def test_a_column_of_a_model_that_was_not_chosen_is_noted():
    assert check_scored(workload(llama2_7b=[50], mistral_7b=[60]), ["llama2_7b"], KNOWN) == [
        "Column accuracy_mistral_7b is not used: mistral_7b is not among the chosen models."
    ]


def test_a_chosen_model_is_known_whatever_the_list_says():
    assert check_scored(workload(mine=[50]), ["mine"], KNOWN) == []


@pytest.mark.parametrize(("values", "noted"), [([0.2, 0.9], 1), ([0, 1], 1), ([0, 1.01], 0), ([100], 0)])
def test_a_column_of_values_up_to_one_looks_like_fractions(values, noted):
    notes = check_scored(workload(llama2_7b=values), ["llama2_7b"], KNOWN)
    assert (
        notes
        == ["Column accuracy_llama2_7b looks like fractions (all at most 1); percent is expected."] * noted
    )


def test_a_column_may_be_unused_and_look_like_fractions():
    assert len(check_scored(workload(mistral_7b=[0.5]), ["llama2_7b"], KNOWN)) == 2
