"""Jobs in warm workers, by joblib or Ray: what the jobs of a sweep have in common is sent and set up once.

Hydra's own launchers send all of it with every job; each job then finds the plug-ins anew, copies the
configuration five times and writes it by YAML in Python, which together take longer than a short run's work.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, env_override, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf._utils import get_omega_conf_dumper

from llmsim.sweeps.loader import words_in

# A job's number, and its words.
Job = tuple[int, list[str]]
# Nodes whose YAML a process keeps.
_KEPT = 256
# What Ray may keep of objects; Hydra's launcher asks for as much.
_RAY_STORE_BYTES = 75 * 2**20


@dataclass(frozen=True)
class Common:
    """What the jobs of a sweep have in common.

    Attributes:
        context: Hydra's loader and callbacks.
        config: the sweep's.
        task: what each job calls with its configuration.
        folder: the sweep's, from `here`.
        here: the folder that the sweep was begun in.
        state: Hydra's own, of the process that began the sweep.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction
    folder: str
    here: str
    state: Any


@dataclass
class WarmLauncher(Launcher):
    """Hydra's launcher for joblib or Ray, but for what it sends and does with each job.

    Attributes:
        parallel: runs jobs at once, each by `run`.
        context, config, task: as in `Common`.
    """

    parallel: Callable[[Common, Sequence[Job]], list[JobReturn]]
    context: HydraContext
    config: DictConfig
    task: TaskFunction

    @classmethod
    def over(cls, launcher: Any) -> Launcher:
        """In the place of Hydra's launcher for joblib or Ray; any other is given back as it is."""
        parallel = _PARALLEL.get(f"{type(launcher).__module__}.{type(launcher).__name__}")
        if parallel is None:
            return launcher  # type: ignore[no-any-return]
        return cls(parallel, launcher.hydra_context, launcher.config, launcher.task_function)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """As Hydra's."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; what each returned, in their order."""
        hydra = self.config.hydra
        configure_log(hydra.hydra_logging, hydra.verbose)
        common = Common(
            self.context, self.config, self.task, str(hydra.sweep.dir), str(Path.cwd()), Singleton.get_state()
        )
        return self.parallel(common, [(n, list(w)) for n, w in enumerate(job_overrides, initial_job_idx)])


def _by_joblib(common: Common, jobs: Sequence[Job]) -> list[JobReturn]:
    """On the cores of this machine; a worker that dies ends the sweep."""
    from joblib import Parallel, delayed

    try:
        import cloudpickle  # which joblib requires from 1.6 on, and brought with it before
    except ImportError:
        from joblib.externals import cloudpickle

    settings = {
        key: _number(value) for key, value in common.config.hydra.launcher.items() if key != "_target_"
    }
    sent = cloudpickle.dumps(common)
    returned: list[JobReturn] = Parallel(**settings | {"backend": "loky"})(
        delayed(run)(sent, *job) for job in jobs
    )
    return returned


def _by_ray(common: Common, jobs: Sequence[Job]) -> list[JobReturn]:
    """By Ray, here or on a cluster; the job of a worker that dies is run again."""
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # or Ray shows one line for many runs
    import ray

    settings: Any = OmegaConf.to_container(common.config.hydra.launcher.ray, resolve=True)
    if not ray.is_initialized():
        there = settings["init"].get("address") or os.environ.get("RAY_ADDRESS")
        # Without an address Ray would join whatever cluster it finds traces of, and refuse the rest.
        here = {} if there else {"address": "local", "object_store_memory": _RAY_STORE_BYTES}
        ray.init(**{key: value for key, value in settings["init"].items() if value is not None} | here)
    remote = ray.remote(**settings["remote"])(run) if settings["remote"] else ray.remote(run)
    sent = ray.put(ray.cloudpickle.dumps(common))
    returned: list[JobReturn] = ray.get([remote.remote(sent, *job) for job in jobs])
    return returned


# By Hydra's launchers, which are not imported: they need not be installed.
_PARALLEL = {
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": _by_joblib,
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher": _by_ray,
}


def run(common: bytes, number: int, words: list[str]) -> JobReturn:
    """One job, in a worker.

    Args:
        common: `Common`, pickled.
        number: the job's, which names its folder.
        words: its overrides.
    """
    return execute(_opened(common), number, words)


def execute(common: Common, number: int, words: list[str]) -> JobReturn:
    """One job, with all that Hydra's `run_job` does for it."""
    config = common.context.config_loader.load_sweep_config(common.config, words)
    hydra = config.hydra
    HydraConfig.instance().cfg = config  # type: ignore[assignment]  # what Hydra sets is a copy of the same
    with open_dict(hydra):
        hydra.sweep.dir = common.folder
        hydra.job.id, hydra.job.num = f"{hydra.job.name}_{number}", number
        hydra.sweep.subdir = str(hydra.sweep.subdir)
        folder = Path(common.folder, hydra.sweep.subdir).absolute()
        hydra.runtime.output_dir = str(folder)
    OmegaConf.set_readonly(hydra, True)
    folder.mkdir(parents=True, exist_ok=True)
    result = JobReturn(overrides=words_in(hydra.overrides.task), task_name=JobRuntime.instance().get("name"))
    with chdir(folder) if hydra.job.chdir else nullcontext(), env_override(hydra.job.env_set):
        result.working_dir = str(Path.cwd())
        configure_log(hydra.job_logging, hydra.verbose)
        if hydra.output_subdir is not None:
            _save(config, folder / hydra.output_subdir)
        common.context.callbacks.on_job_start(config=config, task_function=common.task)
        try:
            result.return_value, result.status = common.task(config), JobStatus.COMPLETED
        except Exception as error:  # handed on in the result, as Hydra does
            result.return_value, result.status = error, JobStatus.FAILED
        common.context.callbacks.on_job_end(config=config, job_return=result)
    return result


@lru_cache(maxsize=1)
def _opened(common: bytes) -> Common:
    """What is common, in a worker: unpickled once, with Hydra's own state."""
    setup_globals()
    plugins = (
        Plugins.instance()
    )  # before all that refers to their classes: looking for plug-ins makes these anew
    opened: Common = pickle.loads(common)
    opened.state["instances"][Plugins] = plugins
    Singleton.set_state(opened.state)
    os.chdir(opened.here)  # a cluster's workers begin elsewhere
    return opened


def _save(config: DictConfig, folder: Path) -> None:
    """Write the files that Hydra writes of a job."""
    folder.mkdir(parents=True, exist_ok=True)
    node: Any = OmegaConf.to_container(config, enum_to_str=True)
    hydra = node.pop("hydra")
    (folder / "config.yaml").write_text(_yaml(node), encoding="utf-8")
    (folder / "hydra.yaml").write_text(f"hydra:\n{indent(_yaml(hydra), '  ')}", encoding="utf-8")
    (folder / "overrides.yaml").write_text(_block(pickle.dumps(hydra["overrides"]["task"])), encoding="utf-8")


def _yaml(node: dict[str, Any]) -> str:
    """A mapping as YAML: key by key, since most are the same for all runs of a sweep."""
    return "".join(_block(pickle.dumps({key: value})) for key, value in node.items())


@lru_cache(maxsize=_KEPT)
def _block(node: bytes) -> str:
    """A mapping or list as YAML, by its pickle, which can be a key of what is kept."""
    text: str = yaml.dump(
        pickle.loads(node), Dumper=_dumper(), default_flow_style=False, allow_unicode=True, sort_keys=False
    )
    return text


@lru_cache(maxsize=1)
def _dumper() -> Any:
    """OmegaConf's way of writing YAML, in C where that was built."""

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Quotes texts that another reader of YAML would take for something else."""

    Dumper.add_representer(str, get_omega_conf_dumper().str_representer)
    return Dumper


def _number(value: Any) -> Any:
    """A setting of joblib's that may be a number or a word, such as `batch_size`."""
    return int(value) if isinstance(value, str) and value.isdigit() else value
