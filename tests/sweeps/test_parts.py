"""The parts of a sweep by themselves: composing, records, what is found again, what is minimised."""

from __future__ import annotations

import csv
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf, open_dict

from llmsim.arguments import conf_folder
from llmsim.config import from_composed, load_config
from llmsim.errors import InputError
from llmsim.report.sweep_chart import RunPoint, pareto
from llmsim.sweeps.command import Command, folder_of, note, resumed
from llmsim.sweeps.finish import finish, points_of
from llmsim.sweeps.loader import QuickLoader
from llmsim.sweeps.record import DONE, FAILED, Record
from llmsim.sweeps.screen import failures
from llmsim.sweeps.table import append, columns
from llmsim.sweeps.warm import Common, execute
from llmsim.tasks.objective import BEYOND, Objective


@pytest.mark.parametrize(
    "words",
    [
        ["seed=3", "replications=2", "perfetto=true"],
        ["hardware=[a100,m1_pro]", "++policy.zeta=0.3", "baselines=[]"],
        ["policy=round_robin", "workload=alpaca", "workload.limit=5", "++fleet.shares.llama2_7b=0.3"],
        ["experiment=first_look", "workload.limit=7", "seed=1"],
        ["task=fit", "report=figures", "~trials"],
    ],
)
def test_the_quick_loader_composes_what_hydras_own_does(words):
    own = ConfigLoaderImpl(create_config_search_path(str(conf_folder())))
    quick = QuickLoader.over(own)
    master = own.load_configuration("config", ["hydra.job.name=x"], RunMode.MULTIRUN)
    wanted = OmegaConf.to_container(own.load_sweep_config(master, words))
    for _ in range(2):  # the second time from what is kept
        assert OmegaConf.to_container(quick.load_sweep_config(master, words)) == wanted


def test_a_job_in_a_warm_worker_finds_and_leaves_what_hydras_own_way_does(tmp_path):
    own = ConfigLoaderImpl(create_config_search_path(str(conf_folder())))
    words = ["policy=round_robin", "workload.limit=5", "++fleet.shares.llama2_7b=0.3", "report=figures"]
    wanted, found = tmp_path / "own", tmp_path / "warm"
    seen = []

    def task(config):
        hydra = HydraConfig.get()
        seen.append(
            (os.environ["GREETING"], from_composed(config), hydra.job.num, list(hydra.overrides.task))
        )
        logging.getLogger("job").info("told")
        return 3.5

    for folder in (wanted, found):
        flags = ["hydra.job.name=x", f"hydra.sweep.dir={folder}", "+hydra.job.env_set.GREETING=hello"]
        flags.append("hydra.sweep.subdir=${hydra.job.num}_${seed}")
        master = own.load_configuration("config", flags, RunMode.MULTIRUN)
        context = HydraContext(QuickLoader.over(own), Callbacks())
        if folder is found:
            result = execute(Common(context, master, task, str(folder), str(tmp_path), None), 7, words)
        else:
            config = own.load_sweep_config(master, words)
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = "x_7", 7
            places = {"job_dir_key": "hydra.sweep.dir", "job_subdir_key": "hydra.sweep.subdir"}
            result = run_job(task, config, hydra_context=context, **places)
        assert (result.return_value, result.overrides) == (3.5, words)
        assert "told" in (folder / "7_0" / "x.log").read_text()
    assert seen[0] == seen[1]
    for name in ("config", "overrides", "hydra"):
        left = [OmegaConf.load(folder / "7_0" / ".hydra" / f"{name}.yaml") for folder in (wanted, found)]
        if name == "hydra":
            assert left[1].hydra.sweep.subdir == "7_0"
            left[1].hydra.sweep.subdir = "${hydra.job.num}_${seed}"
            left = [OmegaConf.to_yaml(node).replace(str(wanted), str(found)) for node in left]
        assert left[0] == left[1]


def test_rows_that_end_at_the_same_time_do_not_mix(tmp_path):
    records = [Record(n, {"seed": n, "note": "a,b\n" * 50}, DONE, "", float(n)) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda record: append(record, tmp_path), records))
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["run"]) for row in rows) == list(range(40))
    assert all(row["seed"] == row["run"] and row["note"] == "a,b\n" * 50 for row in rows)
    assert list(rows[0]) == columns(records)


def test_a_sweep_is_found_by_its_words_whatever_the_launcher(tmp_path):
    words = ["-m", "seed=1,2", "hydra/launcher=joblib"]
    note(["seed=1,2"], [], tmp_path / "a")
    note(["seed=1,3"], [], tmp_path / "b")
    assert folder_of(words, tmp_path) == tmp_path / "a"
    assert folder_of(["-m", "seed=9"], tmp_path) is None
    assert resumed([*words, f"resume={tmp_path / 'a'}"]) == [*words, f"hydra.sweep.dir={tmp_path / 'a'}"]
    with pytest.raises(InputError, match="another command: seed=1,3"):
        resumed([*words, f"resume={tmp_path / 'b'}"])
    assert Command.read(tmp_path) is None


def test_no_run_on_the_front_is_beaten_and_every_other_is():
    points = [
        RunPoint(n, "", e, a, t)
        for n, (e, a, t) in enumerate([(1, 50, 9), (2, 60, 5), (3, 60, 5), (2, 50, 4)])
    ]
    assert [point.run for point in pareto(points)] == [0, 1, 3]


def test_a_run_beyond_its_limits_is_worse_than_any_within_and_the_more_so_the_more():
    def value(accuracy, **words):
        config = load_config([f"objective.{key}={text}" for key, text in words.items()])
        result = SimpleNamespace(objective=5e9, summary={"accuracy_pct": accuracy, "latency_s": {"p99": 3.0}})
        return Objective.from_config(config).of(result)

    floor = {"at_least": "{accuracy_pct:60}"}
    assert value(61, **floor) == 5e9
    assert BEYOND < value(59, **floor) < value(50, **floor)
    assert value(61, **{"at_most.latency_s.p99": 2}) > BEYOND
    assert value(61, minimise="latency_s.p99") == 3.0
    with pytest.raises(InputError, match=r"at_least\.accuracy_pct=high: expected a number"):
        value(61, at_least="{accuracy_pct:high}")


def test_a_record_survives_its_file_and_one_that_is_broken_is_none(tmp_path):
    record = Record(
        3, {"policy.zeta": 0.5, "policy": "optimal"}, DONE, "", 1.5, {"energy_j": None}, 0.1, "abc"
    )
    record.write(tmp_path)
    assert Record.read(tmp_path) == record
    (tmp_path / "run.json").write_text("{")
    assert Record.read(tmp_path) is None


def searched(n, zeta, objective, note="short"):
    figures = {"energy_active_per_query_j": 10.0 + n, "latency_p99_s": 1.0, "accuracy_pct": 57.0}
    return Record(n, {"policy.zeta": zeta, "note": note}, DONE, "", objective, figures)


def test_a_search_ends_with_its_best_run_or_says_that_none_keeps_the_limits(tmp_path):
    note(["policy.zeta=interval(0,1)"], ["hydra/sweeper=optuna"], tmp_path)
    said = []
    for n, objective in enumerate((2 * BEYOND, 5.0)):
        (tmp_path / str(n) / ".hydra").mkdir(parents=True)
        (tmp_path / str(n) / ".hydra" / "overrides.yaml").touch()
        searched(n, 0.1 + n / 3, objective).write(tmp_path / str(n))
        said.append(finish(tmp_path)[-1])
    assert said[0] == "No run keeps the limits of objective.at_least and objective.at_most."
    assert said[1].startswith("Least objective: run 1: policy.zeta=0.43333333333333335: ")
    assert said[1] in (tmp_path / "report.html").read_text().replace("\u00a0", " ")


def test_points_have_names_that_fit_beside_them():
    points = points_of([searched(0, 0.123456789, 1.0), searched(1, 0.5, 1.0, note="a" * 40)])
    assert [point.label for point in points] == ["0.123 short", "run 1"]


def test_runs_that_failed_alike_are_told_together():
    failed = [Record(n, {}, FAILED, "odd" if n % 2 else "even") for n in range(30)]
    one, other, where = failures(failed, "failed.csv")
    assert one.startswith("runs 0, 2, 4,")
    assert one.endswith("22 and 3 more failed: even")
    assert other.endswith("failed: odd")
    assert where == "All of them: failed.csv"
    assert failures([], "failed.csv") == []
