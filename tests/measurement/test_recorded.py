"""Work is journalled as it ends, and a run that is begun again goes on where it was broken off."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

import numpy as np
import pytest

from llmsim.backends.contract import Advance
from llmsim.errors import InputError
from llmsim.measurement.grouped import Grouped
from llmsim.measurement.journal import Journal, read
from llmsim.measurement.journalled import Pieces
from llmsim.measurement.recorded import Recorded, resume
from llmsim.simulation.limits import Limits
from tests.builders import queries
from tests.measurement.test_grouped import Desk
from tests.simulation.costs import AffineCosts
from tests.simulation.fleets import play_continuous
from tests.simulation.test_stepped import Metronome

LIMITS = Limits(max_batch=4, kv_blocks=9, kv="grow")


class Broken(Exception):
    """The machine went away."""


class Counting(Metronome):
    """Breaks after so many pieces of work; its steps take what the batch and its tokens say."""

    def __init__(self, lasts=10**9):
        super().__init__(AffineCosts(), joules=False)
        self.lasts = lasts

    def _one(self):
        self.lasts -= 1
        if self.lasts < 0:
            raise Broken

    def prefill(self, instance, queries, tokens):
        self._one()
        return super().prefill(instance, queries, tokens)

    def decode(self, instance, most_steps, until_s):
        self._one()
        return super().decode(instance, most_steps, until_s)

    def serve(self, tau_in, tau_out):
        self._one()
        return Advance(sum(tau_out) * 0.1, 0.1, None)


def workload():
    rng = np.random.default_rng(5)
    return queries(rng.integers(1, 60, 30), rng.integers(1, 40, 30), np.cumsum(rng.exponential(0.05, 30)))


def played(path, engine):
    with Journal(path) as journal:
        recorded = Recorded("one", lambda: engine, journal, Grouped([]))
        recorded.run("optimal")
        book, _, _ = play_continuous(workload(), None, recorded, LIMITS, 1)
        return list(book.end_s), recorded.live


def test_a_run_that_was_broken_off_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    whole, pieces = played(tmp_path / "whole", Counting())
    for cut in (1, pieces // 2, pieces - 1):
        path = tmp_path / f"cut{cut}"
        with pytest.raises(Broken):
            played(path, Counting(lasts=cut))
        # The engine is told of the batch again, which is no piece of work.
        again, live = played(path, Counting())
        assert again == pytest.approx(whole)
        assert live == pieces - cut
        assert played(path, Counting(lasts=0)) == (again, 0)


def test_policies_share_no_measurements_and_work_is_known_by_what_was_asked(tmp_path):
    with Journal(tmp_path / "j") as journal:
        engine = Counting()
        recorded = Recorded("one", lambda: engine, journal, Grouped([]))
        for label in ("optimal", "round_robin"):
            recorded.run(label)
            recorded.serve((5,), (3,))
        assert recorded.live == 2
        recorded.run("optimal")
        assert recorded.serve((5,), (3,)) == Advance(pytest.approx(0.3), 0.1, None)
        recorded.run("optimal")
        with pytest.raises(InputError, match="piece 0 of 'optimal' on one"):
            recorded.serve((5,), (4,))
    kept = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    assert [(entry["run"], entry["number"]) for entry in kept] == [("optimal", 0), ("round_robin", 0)]


def test_an_engine_prepares_for_a_batch_only_where_no_window_is_open(tmp_path):
    desk, prepared = Desk(), []

    class Preparing(Counting):
        def prepare(self, tau_in, tau_out):
            prepared.append((tau_in, tau_out))
            desk.work(5.0)

        def serve(self, tau_in, tau_out):
            desk.work(0.6)
            return Advance(0.6, 0.1, None)

    with Journal(tmp_path / "j") as journal:
        recorded = Recorded("one", Preparing, journal, Grouped([desk], clock=desk.clock, rest=desk.rest))
        for tokens in range(1, 5):  # two fill a window of a second
            recorded.serve((tokens,), (3,))
        joules = [entry for entry in journal.entries if entry["kind"] == "joules"]
    assert prepared == [([1], [3]), ([3], [3])]
    assert [entry["window_s"] for entry in joules] == pytest.approx([1.2] * 4)


def test_a_window_that_one_deployment_closes_has_joules_of_the_others_work(tmp_path):
    desk = Desk()

    class Working(Counting):
        def serve(self, tau_in, tau_out):
            desk.work(0.6)
            return Advance(0.6, 0.1, None)

    with Journal(tmp_path / "j") as journal:
        grouped, pieces = Grouped([desk], clock=desk.clock, rest=desk.rest), Pieces(journal)
        both = [Recorded(name, Working, journal, grouped, pieces) for name in ("one", "two")]
        for recorded in both:
            recorded.serve((5,), (3,))  # a window is closed before an engine is opened
            recorded.finish()
        for again in (False, True):
            for recorded in both:
                recorded.run("optimal")
            found = [recorded.serve((5,), (3,)).energy_j for recorded in both]
            assert found == ([pytest.approx(180)] * 2 if again else [None, pytest.approx(180)])


def test_work_in_a_window_that_was_broken_off_is_done_anew_and_kept_under_another_name(tmp_path):
    def opened(journal, desk, lasts):
        class Working(Counting):
            def serve(self, tau_in, tau_out):
                took = super().serve(tau_in, tau_out)
                desk.work(0.4)
                return took

        engine = Working(lasts)
        grouped = Grouped([desk], clock=desk.clock, rest=desk.rest)
        pieces = Pieces(journal)
        recorded = Recorded("one", lambda: engine, journal, grouped, pieces)
        resume("optimal", [recorded], pieces)
        return recorded

    for lasts, live in ((5, 5), (100, 5)):
        with Journal(tmp_path / "j") as journal:
            recorded = opened(journal, Desk(), lasts)
            with suppress(Broken):
                for number in range(8):
                    recorded.serve((5,), (number + 1,))
                recorded.finish()
            assert recorded.live == live  # three of the five had been counted
            pieces = Pieces(journal)
    assert {name for name in pieces.work if name not in pieces.joules} == {
        ("optimal, broken off 1", "one", 3),
        ("optimal, broken off 1", "one", 4),
    }
    assert sum(run == "optimal" for run, _, _ in pieces.joules) == 8


def test_an_engine_without_iterations_says_which_discipline_to_choose(tmp_path):
    with Journal(tmp_path / "j") as journal:
        recorded = Recorded("one", object, journal, Grouped([]))
        recorded.run("x")
        recorded.begin(1, 4)
        with pytest.raises(InputError, match="discipline=static"):
            recorded.prefill(0, [0], [5])


WORK = {"kind": "work", "run": "r", "deployment": "d", "number": 0}
STEPS = {"do": "decode", "instance": 0, "most_steps": 3, "until_s": None}
JOULES = {"kind": "joules", "run": "r", "deployment": "d", "number": 0, "energy_j": 1.0, "window_s": 1.0}
JOULES |= {"members": 1, "idle_s": 0.0, "warnings": [], "method": "measured", "scope": "s"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": ["work"]}, "kind="),
        ({"run": "r"}, "no kind"),
        ({**WORK, "asked": STEPS, "took": "x"}, "took=x is not an object"),
        ({**WORK, "asked": STEPS, "took": {"steps": 1}}, "no took.runtime_s"),
        ({**WORK, "asked": STEPS, "took": {"steps": 1, "runtime_s": float("nan")}}, "took.runtime_s=nan"),
        ({**WORK, "asked": STEPS, "took": {"steps": 1, "runtime_s": "1"}}, "took.runtime_s=1"),
        # Steps that were never taken would be waited for in vain.
        ({**WORK, "asked": STEPS, "took": {"steps": 0, "runtime_s": 1.0}}, "took.steps=0"),
        ({**WORK, "asked": STEPS, "took": {"steps": 4, "runtime_s": 1.0}}, "of 3 that were asked for"),
        ({**WORK, "run": ["r"], "asked": STEPS, "took": {}}, "run="),
        ({**JOULES, "energy_j": "a"}, "energy_j=a is not"),
        ({**JOULES, "members": 0}, "members=0 is not a whole number of at least 1"),
        ({"kind": "routes", "run": "r", "deployments": ["d"], "chosen": [0, 7]}, "chosen has 7"),
    ],
)
def test_a_journal_with_something_else_in_it_is_refused_with_its_entry(tmp_path, entry, message):
    path = tmp_path / "j"
    path.write_text(json.dumps(entry) + "\n")
    with pytest.raises(InputError, match="entry 1: .*" + message):
        Pieces(read(path))


def test_a_journal_whose_compression_is_damaged_is_refused(tmp_path):
    whole = bytearray(gzip.compress(json.dumps({**WORK, "noise": list(range(2000))}).encode() + b"\n"))
    whole[len(whole) // 2 : len(whole) // 2 + 40] = b"\xff" * 40
    path = tmp_path / "j.gz"
    path.write_bytes(whole)
    with pytest.raises(InputError, match="cannot be read"):
        read(path)
