"""Settings of the whole suite."""

import os
import tempfile

import pytest
from hypothesis import settings

from tests.command import llmsim, result_of, sweep_in

# No deadline for one example: a busy machine must not fail a law that holds.
settings.register_profile("llmsim", deadline=None)
settings.load_profile("llmsim")

# Curves are kept for the session alone: the user's own folder is neither read nor written.
os.environ["LLMSIM_CACHE"] = tempfile.mkdtemp(prefix="llmsim-curves-")

SWEEP = ("-m", "+policy=optimal,round_robin", "policy.zeta=0.2,0.8", "workload.limit=40", "fleet=one_each")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run by the command: what it printed, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    words = ["workload.limit=300", "fleet=one_each", "fleet.instances=20"]
    done = llmsim(folder, "+hardware=a100", "+policy=optimal", *words)
    assert done.returncode == 0, done.stderr
    return done, result_of(folder)


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """A sweep by the command, of whose four runs two fail: what it printed, and its folder."""
    folder = tmp_path_factory.mktemp("sweep")
    return llmsim(folder, *SWEEP), sweep_in(folder)
