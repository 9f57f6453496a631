"""Jobs that run at once must not measure on one device; those that only play journals may."""

import pytest

from llmsim.arguments import normalise
from llmsim.errors import InputError
from llmsim.sweeps.devices import refuse_sharing

AT_ONCE = "hydra/launcher=joblib"


@pytest.mark.parametrize(
    "words",
    [
        ["backend=openai"],
        ["backend=simulator,openai"],
        ["backends.cpu=openai"],
        ["backends.llama2_7b@cpu={name:openai,max_tokens:9}"],
    ],
)
def test_measuring_jobs_that_would_run_at_once_are_refused(words, monkeypatch):
    monkeypatch.setattr("llmsim.sweeps.devices.BACKENDS", Known())
    with pytest.raises(InputError, match=r"backend=openai measures, .*joblib.*Use hydra/launcher=basic"):
        refuse_sharing(normalise([AT_ONCE, *words]))
    refuse_sharing(normalise(["hydra/launcher=basic", *words]))
    refuse_sharing(normalise(words))


@pytest.mark.parametrize("words", [[], ["backend=recorded", "backend.path=a,b", "backends.cpu=openai"]])
def test_jobs_that_run_nothing_may_run_at_once(words, monkeypatch):
    monkeypatch.setattr("llmsim.sweeps.devices.BACKENDS", Known())
    refuse_sharing(normalise([AT_ONCE, "policy.zeta=0,1", *words]))


class Known:
    """Backends, one of which measures."""

    def names(self):
        return ["openai", "recorded", "simulator"]

    def find(self, name):
        return type(name, (), {"method": "simulated" if name == "simulator" else "measured"})
