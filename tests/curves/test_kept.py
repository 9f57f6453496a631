"""Curves kept between runs: equal to a fit made anew, and made anew when anything behind them changes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llmsim.curves import kept, library
from llmsim.trials import shipped


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path))
    kept._held.cache_clear()
    return tmp_path


def targets():
    """One of whole queries and one of phases, where the trials have both."""
    trials = shipped().usable()
    for kv_cache in (False, True):
        rows = trials.where(kv_cache=kv_cache)
        system = rows.distinct("system")[0]
        yield system, rows.where(system=system).distinct("model")[0]


@pytest.mark.parametrize(("system", "model"), list(targets()))
def test_a_kept_curve_predicts_what_one_fitted_anew_does_to_the_last_bit(folder, system, model, monkeypatch):
    wanted = library.fit(shipped(), system=system, model=model)
    first = kept.fit(shipped(), system=system, model=model)
    kept._held.cache_clear()
    monkeypatch.setattr(library, "fit", lambda *args, **kwargs: pytest.fail("fitted again"))
    again = kept.fit(shipped(), system=system, model=model)
    assert again.provenance == json.loads(json.dumps(wanted.provenance)) == first.provenance
    assert again.report() == wanted.report()
    for name, part in wanted.curve.parts().items():
        inputs = [np.array([8, 100, 777])] * (1 if name == "x" else 2)
        if again.kv_cache:
            assert again.curve.parts()[name].theta.tolist() == part.theta.tolist()
        else:
            for ours, theirs in zip(
                again.curve.parts()[name].predict(*inputs), part.predict(*inputs), strict=True
            ):
                assert ours.tobytes() == theirs.tobytes()


def test_a_file_that_is_broken_is_made_anew_and_other_trials_have_another(folder):
    system, model = next(targets())
    kept.fit(shipped(), system=system, model=model)
    (file,) = folder.iterdir()
    whole = file.read_text()
    file.write_text(whole[:100])
    kept._held.cache_clear()
    kept.fit(shipped(), system=system, model=model)
    assert file.read_text() == whole
    kept.fit(shipped().where(system=system), system=system, model=model)
    assert len(list(folder.iterdir())) == 2


def test_nothing_is_kept_when_it_is_off_or_cannot_be_written(folder, monkeypatch):
    system, model = next(targets())
    for place in ("off", "/dev/null/here"):
        monkeypatch.setenv(kept.VARIABLE, place)
        kept._held.cache_clear()
        kept.fit(shipped(), system=system, model=model)
    assert not list(folder.iterdir())
