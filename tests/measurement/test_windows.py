"""What is told of meters' windows is what they were, wherever the journal was cut off."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.measurement.grouped import Grouped
from llmsim.measurement.journal import Journal
from llmsim.measurement.journalled import Pieces
from llmsim.measurement.recorded import Recorded, resume
from llmsim.measurement.windows import Windows, overhead
from tests.measurement.test_grouped import Desk
from tests.measurement.test_recorded import Counting


def serve_ten(path):
    """Ten pieces in windows of several; the run is gone on with where it was broken off."""
    desk = Desk()

    class Working(Counting):
        def serve(self, tau_in, tau_out):
            took = super().serve(tau_in, tau_out)
            desk.work(took.runtime_s)
            desk.rest(0.1)
            return took

    with Journal(path) as journal:
        pieces = Pieces(journal)
        grouped = Grouped([desk], 100.0, clock=desk.clock, rest=desk.rest)
        recorded = Recorded("one", Working, journal, grouped, pieces)
        resume("optimal", [recorded], pieces)
        for number in range(10):
            recorded.serve((5,), (number + 1,))
        recorded.finish()
        return pieces, Windows.of(journal.entries)


@given(part=st.floats(0, 1))
def test_a_kill_at_any_byte_loses_no_joules_and_counts_no_window_twice(tmp_path_factory, part):
    path = tmp_path_factory.mktemp("windows") / "j.jsonl"
    pieces, whole = serve_ten(path)
    assert None not in whole.counted_j
    text = path.read_bytes()
    path.write_bytes(text[: round(part * len(text))])
    again, windows = serve_ten(path)
    own = [name for name in again.joules if name[0] == "optimal"]
    assert sorted(own) == sorted(pieces.joules)
    assert [again.joules[name] for name in own] == pytest.approx([pieces.joules[name] for name in own])
    for counted, seconds, idle_s in zip(windows.counted_j, windows.seconds, windows.idle_s, strict=True):
        assert counted is None or counted == pytest.approx(300 * (seconds - idle_s) + 100 * idle_s)
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert set(windows.seconds) == {entry["window_s"] for entry in entries if entry["kind"] == "joules"}
    assert sum(windows.pieces) == sum(entry["kind"] == "joules" for entry in entries)


def test_the_overhead_is_of_runs_that_were_not_broken_off():
    def work(number, runtime_s, busy_s):
        took = {"runtime_s": runtime_s, "busy_s": busy_s}
        return {"kind": "work", "run": "r", "deployment": "d", "number": number, "took": took}

    aside = {"kind": "set_aside", "run": "r", "deployment": "d", "number": 0, "as": "r, broken off 1"}
    told = overhead([work(0, 9.0, 1.0), work(1, 9.0, 1.0), aside, work(0, 2.0, 1.5)])
    assert told.startswith("On the wall clock 0.5 s of 2 s of service, 25.00%")
    assert overhead([aside]) == ""
