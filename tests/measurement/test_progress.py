import logging

from llmsim.measurement.progress import TimeLeft


def test_the_time_left_follows_this_runs_own_pace(caplog):
    clock = iter([0.0, 10.0, 10.0, 70.0, 70.0, 70.0])
    shown = []
    left = TimeLeft(lambda *line: shown.append(line), now=lambda: next(clock))
    with caplog.at_level(logging.INFO):
        left("cell", 21, 30)  # 20 were there before: one in 10 s, 9 to go
        left("cell", 27, 30)
    assert shown == [("cell, about 1 min 30 s left", 21, 30), ("cell, about 30 s left", 27, 30)]
    assert caplog.messages == ["27 of 30 trials; cell, about 30 s left"]
