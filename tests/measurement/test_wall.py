"""Runs on the wall clock, here one that is made up."""

from __future__ import annotations

import numpy as np
import pytest

from llmsim.backends.contract import Work
from llmsim.measurement.grouped import Grouped
from llmsim.measurement.journal import Journal
from llmsim.measurement.journalled import Pieces
from llmsim.measurement.recorded import Recorded, resume
from llmsim.measurement.wall import Wall
from llmsim.measurement.windows import Windows, overhead
from llmsim.simulation.limits import Limits
from tests.builders import queries
from tests.measurement.test_grouped import Desk
from tests.simulation.costs import AffineCosts
from tests.simulation.fleets import play_continuous
from tests.simulation.test_stepped import Metronome

LIMITS = Limits(max_batch=4, kv_blocks=40)
ZERO_S = 1000.0


class Worker(Metronome):
    """Takes its time on a clock, and some more before each piece of work; notes when queries enter."""

    def __init__(self, desk, host_s=0.0, lasts=10**9):
        super().__init__(AffineCosts(), joules=False)
        self.desk, self.host_s, self.lasts = desk, host_s, lasts
        self.entered_s: dict[int, float] = {}
        self.worked_s = 0.0
        self.warmed = False

    def warm(self):
        self.warmed = True
        self.desk.rest(50.0)

    def _one(self, work):
        self.lasts -= 1
        if self.lasts < 0:
            raise InterruptedError
        self.desk.work(work.runtime_s)
        self.worked_s += work.runtime_s
        return Work(work.runtime_s, None, work.steps)

    def prefill(self, instance, queries, tokens):
        self.entered_s |= dict.fromkeys(queries, self.desk.now_s)
        return self._one(super().prefill(instance, queries, tokens))

    def decode(self, instance, most_steps, until_s):
        return self._one(super().decode(instance, most_steps, until_s))

    def release(self, instance, queries):
        super().release(instance, queries)
        self.desk.rest(self.host_s)


def workload(gap_s=0.5):
    rng = np.random.default_rng(5)
    return queries(
        rng.integers(1, 60, 30), rng.integers(1, 40, 30), 3 + np.cumsum(rng.exponential(gap_s, 30))
    )


def played(path, engine, desk, what, meters=(), idle_w=None):
    with Journal(path) as journal:
        pieces = Pieces(journal)
        grouped = Grouped(meters, idle_w, clock=desk.clock, rest=desk.rest)
        wall = Wall(desk.clock, desk.rest)
        recorded = Recorded("one", lambda: engine, journal, grouped, pieces, wall)
        resume("optimal", [recorded], pieces)
        book, meter, _ = play_continuous(what, None, recorded, LIMITS, 1)
        recorded.finish()
        return book, meter, pieces, journal.entries


def test_where_the_host_takes_no_time_it_is_the_simulated_clock(tmp_path):
    desk = Desk()
    book, _, pieces, _ = played(tmp_path / "j", Worker(desk), desk, workload())
    wanted, _, _ = play_continuous(workload(), None, AffineCosts(), LIMITS, 1)
    assert list(book.end_s) == pytest.approx(list(wanted.end_s))
    assert list(book.first_token_s) == pytest.approx(list(wanted.first_token_s))
    assert all(
        entry["took"]["busy_s"] == pytest.approx(entry["took"]["runtime_s"]) for entry in pieces.work.values()
    )


@pytest.mark.parametrize("gap_s", [0.02, 0.5])
def test_time_between_pieces_counts_and_no_query_enters_before_it_has_come(tmp_path, gap_s):
    desk, what = Desk(), workload(gap_s)
    desk.rest(ZERO_S)
    engine = Worker(desk, host_s=0.03)
    book, meter, pieces, _ = played(tmp_path / "j", engine, desk, what)
    assert engine.warmed  # before the clock of the run was set
    zero_s = engine.entered_s[0] - what.arrival_s[0]
    assert zero_s == pytest.approx(ZERO_S + 50.0 - what.arrival_s[0])
    for query, entered_s in engine.entered_s.items():
        assert entered_s - zero_s >= what.arrival_s[query] - 1e-9
        assert book.first_token_s[query] > entered_s - zero_s
    took = [entry["took"] for entry in pieces.work.values()]
    assert sum(one["busy_s"] for one in took) == pytest.approx(engine.worked_s)
    assert all(one["runtime_s"] >= one["busy_s"] for one in took)
    overhead_s = sum(one["runtime_s"] - one["busy_s"] for one in took)
    assert 0.0 < overhead_s <= 30 * 0.03 + 1e-9
    assert meter.prefill_s[0] + meter.decode_s[0] == pytest.approx(engine.worked_s + overhead_s)
    # The last end is the time that has really passed, but for what the host did after it.
    assert max(book.end_s) == pytest.approx(desk.now_s - zero_s - 0.03)


def test_a_whole_run_is_played_again_without_a_clock(tmp_path):
    desk = Desk()
    first, *_ = played(tmp_path / "j", Worker(desk, host_s=0.03), desk, workload())
    before_s = desk.now_s
    with Journal(tmp_path / "j") as journal:
        recorded = Recorded("one", object, journal, Grouped([]), wall=Wall(desk.clock, desk.rest))
        recorded.run("optimal")
        again, _, _ = play_continuous(workload(), None, recorded, LIMITS, 1)
    assert list(again.end_s) == list(first.end_s)
    assert desk.now_s == before_s


def test_a_run_that_was_broken_off_starts_anew_and_is_kept_under_another_name(tmp_path):
    desk = Desk()
    with pytest.raises(InterruptedError):
        played(tmp_path / "j", Worker(desk, lasts=20), desk, workload())
    engine = Worker(desk)
    _, _, pieces, _ = played(tmp_path / "j", engine, desk, workload())
    assert len(engine.entered_s) == 30
    runs = [run for run, _, _ in pieces.work]
    assert runs.count("optimal, broken off 1") == 20
    assert runs.count("optimal") > 20


@pytest.mark.parametrize("gap_s", [0.3, 5.0])
def test_active_joules_are_those_of_work_and_what_was_taken_off_for_waiting_is_told(tmp_path, gap_s):
    desk = Desk()
    engine = Worker(desk, host_s=0.01)
    *_, entries = played(tmp_path / "j", engine, desk, workload(gap_s), [desk], idle_w=100.0)
    joules = [entry for entry in entries if entry["kind"] == "joules"]
    assert sum(entry["energy_j"] for entry in joules) == pytest.approx(300 * engine.worked_s)
    assert all(entry["idle_j"] == pytest.approx(100 * entry["idle_s"]) for entry in joules)
    # A window holds no more of a wait than it needs to be long enough.
    assert all(entry["idle_s"] <= 1.0 + 1e-9 or entry["members"] > 1 for entry in joules)
    assert max(entry["window_s"] for entry in joules) < 3.0
    windows = Windows.of(entries)
    assert sum(windows.pieces) == len(joules)
    assert sum(windows.counted_j) == pytest.approx(300 * engine.worked_s + 100 * sum(windows.idle_s))
    assert f"Joules were counted in {len(windows.pieces)} windows" in windows.said()
    assert f"{sum(windows.idle_s) / sum(windows.seconds):.1%} of that time" in windows.said()
    took = [entry["took"] for entry in entries if entry["kind"] == "work"]
    rest_s = sum(one["runtime_s"] - one["busy_s"] for one in took)
    assert f"{rest_s:.4g} s of" in overhead(entries)


def test_where_the_idle_power_is_not_known_what_is_taken_off_for_waiting_is_called_assumed(tmp_path):
    desk = Desk()
    *_, entries = played(tmp_path / "j", Worker(desk, host_s=0.01), desk, workload(0.3), [desk])
    assert "the idle power is not known" in Windows.of(entries).said()
