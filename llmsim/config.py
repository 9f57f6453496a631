"""Configuration: how a run is composed, what a run-level field is.

One function, `load_config`, composes a configuration for the command line, the tests and `llmsim.api`. Each
floor checks its own node with `parse`; only run-level fields are known here.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import pickle
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from llmsim.arguments import LIST_GROUPS, PLUGIN_GROUPS, check_choices, conf_folder, folders_of, normalise
from llmsim.errors import InputError, did_you_mean
from llmsim.plugin_conf import installed_folders

T = TypeVar("T")

REPORTS = ("full", "figures")
# How YAML says «must be given».
_MISSING = "???"
# Nodes whose dataclasses a process keeps; a run has some tens.
_PARSED = 512
CLOCKS = ("simulated", "wall")
# What is made of a run, and not what is run: with these changed, measured work is the same work.
_NOT_WORK = (
    "task", "report", "objective", "slo", "tariff", "window", "series", "perfetto", "replications",
    "baselines",
)  # fmt: skip


@dataclass
class Config:
    """A composed run. Nodes of other floors stay plain mappings, checked where they are used.

    Attributes:
        task: what the run does, such as ``{"name": "evaluate"}``.
        hardware, model: chosen descriptions by name.
        workload, fleet, policy, backend, curve, meter: one node each.
        backends, meters: of single deployments, by hardware, model, or model@hardware (later ones win): a
            name, or settings; the rest have `backend` and `meter`.
        trials: ``path`` of the user's own measurements, or null for the shipped ones.
        baselines: policies to compare with, by name; ``single`` stands for each single deployment.
        slo, tariff, window, series: what service is asked for, what energy costs, what counts as steady, and
            how finely time is told; see `conf/config.yaml`.
        perfetto: whether to write a trace of every instance.
        replications: runs under seeds of their own, for intervals.
        objective: what a sweep minimises; see `llmsim.tasks.objective`.
        clock: `simulated` stands still while nothing is measured; `wall` runs on, and queries arrive by it.
        report: `full` writes plots and the page as well, `figures` the figures and tables alone.
        seed: of every random draw.
    """

    task: dict[str, Any]
    workload: dict[str, Any]
    fleet: dict[str, Any]
    policy: dict[str, Any]
    backend: dict[str, Any]
    curve: dict[str, Any]
    meter: dict[str, Any] = field(default_factory=dict)
    backends: dict[str, Any] = field(default_factory=dict)
    meters: dict[str, Any] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, Any] = field(default_factory=dict)
    baselines: list[Any] = field(default_factory=list)
    slo: dict[str, Any] = field(default_factory=dict)
    tariff: dict[str, Any] = field(default_factory=dict)
    window: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)
    perfetto: bool = False
    replications: int = 1
    objective: dict[str, Any] = field(default_factory=dict)
    clock: str = "simulated"
    report: str = "full"
    seed: int = 0

    def sha256(self) -> str:
        """Hash of every value that can change a result; the same configuration has the same hash."""
        values = dataclasses.asdict(self)
        del values["report"], values["objective"]  # what is shown, and what a sweep makes of it
        text = json.dumps(values, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def work_sha256(self) -> str:
        """Hash of what determines measured work: runs that share it share a journal.

        Policies and seeds have runs of their own in a journal, so that baselines and replications can be
        added to it.
        """
        values = {key: value for key, value in dataclasses.asdict(self).items() if key not in _NOT_WORK}
        text = json.dumps(values, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_yaml(self) -> str:
        """The configuration as YAML, as a person would write it."""
        from omegaconf import OmegaConf

        return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(self)))


def load_config(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> Config:
    """Compose a run's configuration.

    Args:
        overrides: words as on the command line, such as ``"hardware=a100"`` or ``"policy.zeta=0.3"``.
        config_dir: a folder of the user's own options, laid out as `conf/` is.

    Raises:
        InputError: an unknown option or key (with the nearest known one), or a value of the wrong type.
    """
    from hydra.errors import HydraException

    words = list(overrides)
    if config_dir is not None:
        words.append(f"hydra.searchpath=[file://{Path(config_dir).resolve()}]")
    words = normalise(words)
    check_choices(words, folders_of(words))
    try:
        return from_composed(_composed(words))
    except HydraException as error:
        raise composition_error(error) from error


# Hydra keeps one application at a time for the whole process.
_ONE_AT_A_TIME = threading.Lock()


def _composed(words: Sequence[str], with_hydra: bool = False) -> Any:
    """What Hydra composes from our `conf/`, also inside another Hydra application, which is put back."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    join_search_path()
    with _ONE_AT_A_TIME:
        running = GlobalHydra.instance()
        host, running.hydra = running.hydra, None
        try:
            with initialize_config_dir(str(conf_folder()), job_name="llmsim", version_base="1.3"):
                return compose("config", overrides=list(words), return_hydra_config=with_hydra)
        finally:
            GlobalHydra.instance().hydra = host


def join_search_path() -> None:
    """Add the folders of installed packages to what Hydra searches; doing it again changes nothing."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class PackagesOptions(SearchPathPlugin):
        """What Hydra asks for more folders of options."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            """Append each package's folder."""
            for folder in installed_folders():
                search_path.append(provider=f"llmsim.conf {folder.parent.name}", path=f"file://{folder}")

    known = [plugin.__name__ for plugin in Plugins.instance().discover(SearchPathPlugin)]
    if installed_folders() and PackagesOptions.__name__ not in known:
        Plugins.instance().register(PackagesOptions)


def composition_error(error: Exception) -> InputError:
    """Hydra's complaint in our words, with the nearest known key where it names an unknown one."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    if first.startswith("Could not override '"):
        key = first.split("'")[1]
        inner = str(getattr(error.__cause__, "full_key", None) or "")
        if inner.startswith(f"{key}."):  # the mapping is known, and a key within it is not
            key = inner
        known = known_keys(with_hydra=key.startswith("hydra"))
        return InputError(f"{key}: no such setting. {did_you_mean(key, known, 'setting')}")
    _, absent, path = first.partition("Could not find 'hydra/")
    if absent:
        return _no_launcher(path.split("'")[0])
    if first.startswith("Ambiguous value"):
        return InputError(f"{first.rstrip('.')}: write [one,two] for several at once, or add -m to sweep.")
    return InputError(" ".join(line.strip() for line in text.splitlines() if line.strip()))


# Launchers and sweepers by the extras of llmsim that bring them.
_EXTRAS: Mapping[str, str] = {
    "launcher/joblib": "joblib",
    "launcher/ray": "ray",
    "launcher/submitit_local": "submitit",
    "launcher/submitit_slurm": "submitit",
    "sweeper/optuna": "optuna",
}


def _no_launcher(chosen: str) -> InputError:
    """What to do about a launcher or a sweeper that is not installed, or that there is not."""
    group, _, option = chosen.rpartition("/")
    if chosen in _EXTRAS:
        how = f"pip install 'llmsim[{_EXTRAS[chosen]}]'"
        return InputError(f"hydra/{group}={option} is not installed. Install it: {how} (docs/sweeps.md)")
    known = [name.rpartition("/")[2] for name in _EXTRAS if name.startswith(f"{group}/")]
    return InputError(
        f"hydra/{group}={option}: no such option. {did_you_mean(option, [*known, 'basic'], group)}"
    )


def known_keys(with_hydra: bool = False) -> list[str]:
    """Dotted keys of the default configuration, and Hydra's own where asked for."""
    from omegaconf import OmegaConf

    composed = _composed((), with_hydra)
    keys: list[str] = []

    def walk(node: object, prefix: str) -> None:
        """Note every key below a node."""
        if isinstance(node, dict):
            for key, value in node.items():
                keys.append(f"{prefix}{key}")
                walk(value, f"{prefix}{key}.")

    walk(OmegaConf.to_container(composed, resolve=False), "")
    return keys


def from_composed(composed: Any) -> Config:
    """The typed run-level configuration from what Hydra composed."""
    node = {str(key): _plain(composed, key) for key in composed if key != "hydra"}
    for group in (*PLUGIN_GROUPS, *LIST_GROUPS, "workload", "fleet", "task"):
        if group in node and not isinstance(node[group], dict):
            raise InputError(f"{group}={node[group]}: expected an option of conf/{group}, by name.")
    config = Config(**node) if _needs_no_parsing(node) else parse(Config, node, "")
    if config.report not in REPORTS:
        raise InputError(f"report={config.report}: {did_you_mean(config.report, REPORTS, 'kind of report')}")
    if config.clock not in CLOCKS:
        raise InputError(f"clock={config.clock}: {did_you_mean(config.clock, CLOCKS, 'clock')}")
    if config.seed < 0:
        raise InputError(f"seed={config.seed}: expected a whole number from 0 upwards.")
    for place, entry in enumerate(config.baselines):
        if not isinstance(entry, str) and not (isinstance(entry, dict) and "name" in entry):
            raise InputError(
                f"baselines[{place}]={entry}: expected a policy's name, or a mapping of name and settings."
            )
    return config


def _plain(composed: Any, key: Any) -> Any:
    """A composed configuration's value under a key: mappings, lists and scalars, interpolations resolved."""
    from omegaconf import OmegaConf

    if OmegaConf.is_missing(composed, key):
        return _MISSING
    value = composed[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _needs_no_parsing(node: Mapping[str, Any]) -> bool:
    """Whether a run's values have their types already: `parse` would only copy them, value by value."""
    fields = dataclasses.fields(Config)
    required = {f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING}
    kinds = {f.name: str(f.type).partition("[")[0] for f in fields}
    typed = all(
        type(value).__name__ == kinds.get(name) and _is_settled(value) for name, value in node.items()
    )
    return typed and required <= node.keys()


def _is_settled(value: Any) -> bool:
    """Whether OmegaConf would change nothing in a value, and complain of nothing."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_settled(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_settled(item) for item in value)
    if isinstance(value, str):
        return value != _MISSING and "${" not in value
    return value is None or isinstance(value, bool | int | float)


# How a value of each type is called in an error; a type that is not here is called by its own name.
_TYPES: Mapping[str, str] = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "text",
}


def _wrong_type(
    error: Exception, fields: Mapping[str, dataclasses.Field[Any]], node: Mapping[str, Any], prefix: str
) -> InputError:
    """Which setting has a value of the wrong type, and what type would be right."""
    key = str(getattr(error, "full_key", None) or getattr(error, "key", None) or "")
    name = key.split(".")[0].split("[")[0]
    if name not in fields:
        return InputError(f"{prefix}{key}: {str(error).splitlines()[0]}")
    value: Any = node.get(name)
    for part in key.split(".")[1:]:
        value = value.get(part) if isinstance(value, Mapping) else value
    annotation: Any = fields[name].type  # a class, where the plug-in's module does not postpone annotations
    wanted = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    wanted = wanted.removesuffix(" | None")
    if wanted.startswith("list"):
        wanted = "a list, such as [one,two]"
    elif wanted.startswith("dict"):
        wanted = _TYPES.get(wanted.removesuffix("]").split(", ")[-1], "a mapping of names to values")
    else:
        wanted = _TYPES.get(wanted, wanted)
    return InputError(f"{prefix}{key}={value}: expected {wanted}.")


@lru_cache(maxsize=256)
def _schema(cls: type[Any]) -> Any:
    """The class as OmegaConf knows it; merging copies it."""
    from omegaconf import OmegaConf

    return OmegaConf.structured(cls)


def parse(cls: type[T], node: Mapping[str, Any], where: str) -> T:
    """The dataclass `cls` filled from a configuration node.

    Args:
        cls: a dataclass with typed fields; a field without a default must be given.
        node: plain mapping (or OmegaConf node) of field names to values.
        where: the node's place in the configuration, for errors, such as ``hardware.a100``.

    Raises:
        InputError: a key that is not a field (with the nearest that is), a value of the wrong type, or a
            field that is missing.
    """
    try:
        known = pickle.dumps(node) if type(node) is dict else None
    except (pickle.PicklingError, TypeError, AttributeError):
        known = None
    if known is None:
        return _parse(cls, node, where)
    result: T = copy.deepcopy(_parsed(cls, known, where))  # type: ignore[arg-type]  # a class is hashable
    return result


@lru_cache(maxsize=_PARSED)
def _parsed(cls: type[Any], node: bytes, where: str) -> Any:
    """What a node gives, the same for most runs of a sweep; pickled, since 1, 1.0 and true are equal."""
    return _parse(cls, pickle.loads(node), where)


def _parse(cls: type[T], node: Mapping[str, Any], where: str) -> T:
    """What `parse` does, without looking for what it did before."""
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    prefix = f"{where}." if where else ""
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in node:
        if key not in fields:
            known = (
                did_you_mean(str(key), fields, "setting") if fields else f"{cls.__name__} has no settings."
            )
            raise InputError(f"{prefix}{key}: no such setting. {known}")
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and node.get(name, _MISSING) == _MISSING:
            raise InputError(f"{prefix}{name}: this setting must be given; it has no default.")
    try:
        merged = OmegaConf.merge(_schema(cls), dict(node))  # type: ignore[arg-type]
        result = OmegaConf.to_object(merged)
    except MissingMandatoryValue as error:
        raise InputError(
            f"{prefix}{getattr(error, 'full_key', '')}: this setting must be given; it has no default."
        ) from error
    except OmegaConfBaseException as error:
        raise _wrong_type(error, fields, dict(node), prefix) from error
    return result  # type: ignore[return-value]
