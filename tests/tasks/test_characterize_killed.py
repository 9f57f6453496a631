"""A campaign that is killed: what the disk has is whole, and the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
COMMAND = [
    sys.executable, "-m", "llmsim", "task=characterize", "hardware=h200", "model=llama3_1_8b", "meter=tdp",
    "backend.name=slow", "task.window_s=0", "task.settle_s=0", "task.journal=journal.jsonl",
    "task.prefill_tokens=[1,512]", "task.decode_batch=[1,8]", "task.decode_context=[64,2048]",
]  # fmt: skip


def started(folder):
    """The command, with a backend that only this test's entry points know."""
    about = folder / "made_up-1.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[llmsim.backends]\nslow = tests.measurement.made_up:SlowBackend\n"
    )
    path = os.pathsep.join([str(REPOSITORY), str(folder)])
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)}
    return subprocess.Popen(
        COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def trials(journal):
    whole = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return [json.loads(line) for line in whole]


def test_a_killed_campaign_loses_the_trial_in_flight_at_most_and_goes_on(tmp_path):
    journal = tmp_path / "journal.jsonl"
    first = started(tmp_path)
    end = time.monotonic() + 60
    while len(trials(journal)) < 9 and first.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    kept = trials(journal)
    assert 9 <= len(kept) < 30

    second = started(tmp_path)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 0, said
    every = trials(journal)
    assert every[: len(kept)] == kept
    repeats = Counter((json.dumps(entry["cell"]), entry["repeat"]) for entry in every)
    assert set(repeats.values()) == {1}
    cells = Counter(json.dumps(entry["cell"]) for entry in every if entry["outcome"] == "completed")
    assert set(cells.values()) == {5}
