"""Jobs in warm workers of this machine, by joblib: what they have in common is sent and set up once.

Hydra's own launcher for joblib sends all of it with every job, looks for plug-ins anew, copies the
configuration five times and writes it as YAML in Python, which together take longer than a short run's work.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
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

# The class of Hydra's launcher, which is not imported: it need not be installed.
_JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher"
# Nodes whose YAML a process keeps.
_KEPT = 256


@dataclass(frozen=True)
class Common:
    """What the jobs of a sweep have in common.

    Attributes:
        context: Hydra's loader and callbacks.
        config: the sweep's.
        task: what each job calls with its configuration.
        state: Hydra's own, of the process that began the sweep.
        folder: the sweep's.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction
    state: Any
    folder: str


@dataclass
class WarmLauncher(Launcher):
    """Hydra's launcher for joblib, but for what it does with each job.

    Attributes:
        settings: of `joblib.Parallel`, as in `hydra.launcher`.
        context, config, task: as in `Common`.
    """

    settings: dict[str, Any]
    context: HydraContext
    config: DictConfig
    task: TaskFunction

    @classmethod
    def over(cls, launcher: Any) -> Launcher:
        """In the place of Hydra's launcher for joblib; any other is given back as it is."""
        if type(launcher).__module__ != _JOBLIB:
            return launcher  # type: ignore[no-any-return]
        return cls(dict(launcher.joblib), launcher.hydra_context, launcher.config, launcher.task_function)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """As Hydra's."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; what each returned, in their order."""
        from joblib import Parallel, delayed
        from joblib.externals import cloudpickle

        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        folder = str(self.config.hydra.sweep.dir)
        common = cloudpickle.dumps(
            Common(self.context, self.config, self.task, Singleton.get_state(), folder)
        )
        settings = {key: _number(value) for key, value in self.settings.items()} | {"backend": "loky"}
        returned: list[JobReturn] = Parallel(**settings)(
            delayed(run)(common, number, list(words))
            for number, words in enumerate(job_overrides, initial_job_idx)
        )
        return returned


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
        folder = Path(common.folder, str(hydra.sweep.subdir)).absolute()
        hydra.runtime.output_dir = str(folder)
    OmegaConf.set_readonly(hydra, True)
    folder.mkdir(parents=True, exist_ok=True)
    result = JobReturn(overrides=list(hydra.overrides.task), task_name=JobRuntime.instance().get("name"))
    with chdir(folder) if hydra.job.chdir else nullcontext(), env_override(hydra.job.env_set):
        result.working_dir = str(Path.cwd())
        configure_log(hydra.job_logging, hydra.verbose)
        if hydra.output_subdir is not None:
            _save(config, folder / hydra.output_subdir)
        common.context.callbacks.on_job_start(config=config, task_function=common.task)
        try:
            result.return_value, result.status = common.task(config), JobStatus.COMPLETED
        except Exception as error:
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
