"""Configuration: where `conf/` is, how arguments are read, what a run-level field is.

One function, `load_config`, composes a configuration for the command line, the tests and `llmsim.api`. Each
floor checks its own node with `parse`; only run-level fields are known here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from llmsim.errors import InputError, did_you_mean

T = TypeVar("T")

# Groups whose parameters a chosen option may lack: set with ++, so that a sweep over one composes and the
# option that lacks it fails in its own job, by name, without losing the others.
PLUGIN_GROUPS = ("policy", "backend", "curve", "meter")
# Groups of which several options may be chosen at once.
LIST_GROUPS = ("hardware", "model")


@dataclass
class Config:
    """A composed run. Nodes of other floors stay plain mappings, checked where they are used.

    Attributes:
        task: what the run does, such as ``{"name": "evaluate"}``.
        hardware, model: chosen descriptions by name.
        workload, fleet, policy, backend, curve: one node each.
        trials: ``path`` of the user's own measurements, or null for the shipped ones.
        baselines: policies to compare with, by name; ``single`` stands for each single deployment.
        seed: of every random draw.
    """

    task: dict[str, Any]
    workload: dict[str, Any]
    fleet: dict[str, Any]
    policy: dict[str, Any]
    backend: dict[str, Any]
    curve: dict[str, Any]
    hardware: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, Any] = field(default_factory=dict)
    baselines: list[Any] = field(default_factory=list)
    seed: int = 0

    def sha256(self) -> str:
        """Hash of every value that can change a result; the same configuration has the same hash."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_yaml(self) -> str:
        """The configuration as YAML, as a person would write it."""
        from omegaconf import OmegaConf

        return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(self)))


def conf_folder() -> Path:
    """The folder of YAML files: a checkout's own, or else the copy inside the installed package.

    The checkout's comes first because an editable install also copies `conf/` into site-packages, where it
    goes stale.

    Raises:
        InputError: neither is there (a broken installation).
    """
    package = Path(__file__).resolve().parent
    for folder in (package.parent / "conf", package / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise InputError(f"No conf/ beside {package} nor inside it: reinstall llmsim.")


def groups() -> dict[str, list[str]]:
    """Each configuration group with its options, sorted."""
    found: dict[str, list[str]] = {}
    for file in sorted(conf_folder().glob("*/*.yaml")):
        found.setdefault(file.parent.name, []).append(file.stem)
    return found


def normalise(arguments: Sequence[str]) -> list[str]:
    """Command-line words in the one form that Hydra is given.

    ``+hardware=a100`` means ``hardware=a100`` (several ``+hardware=`` make a list); ``policy.x=`` becomes
    ``++policy.x=`` (see PLUGIN_GROUPS); a sweep has no baselines unless it names some. Flags and everything
    else pass through.

    >>> normalise(["+policy=optimal", "policy.zeta=0,1", "--multirun"])
    ['policy=optimal', '++policy.zeta=0,1', '--multirun', 'baselines=[]']
    """
    known = groups()
    added: dict[str, list[str]] = {}
    words: list[str] = []
    for word in arguments:
        key, equals, value = word.partition("=")
        bare = key.lstrip("+")
        if word.startswith("-") or not equals:
            words.append(word)
        elif bare in known and key.startswith("+") and bare in LIST_GROUPS:
            if bare not in added:
                words.append(f"{bare}=")  # placed here, filled below
            added.setdefault(bare, []).append(value)
        elif bare in known:
            words.append(f"{bare}={value}")
        elif bare.split(".")[0] in PLUGIN_GROUPS and "." in bare:
            words.append(f"++{bare}={value}")
        else:
            words.append(word)
    for group, values in added.items():
        several = values[0] if len(values) == 1 else f"[{','.join(value.strip('[]') for value in values)}]"
        words[words.index(f"{group}=")] = f"{group}={several}"
    if {"-m", "--multirun"} & set(words) and not any(word.startswith("baselines=") for word in words):
        words.append("baselines=[]")  # a sweep compares its runs with each other
    return words


def check_choices(overrides: Sequence[str]) -> None:
    """Refuse an option that its group lacks, before anything is composed or run.

    Raises:
        InputError: with the group, the unknown option and the nearest known one; or an override that cannot
            be parsed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    known = groups()
    seen: set[str] = set()
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(f"The arguments cannot be read. {str(error).splitlines()[0]}") from error
    for override in parsed:
        group = override.key_or_group
        if group not in known or override.is_delete():
            continue
        if group in seen:
            several = f"Several at once: '{group}=[one,two]'." if group in LIST_GROUPS else "Choose one."
            raise InputError(f"{group}= is given more than once. {several}")
        seen.add(group)
        if override.is_sweep_override():
            values = [str(value) for value in override.sweep_string_iterator()]
        else:
            value = override.value()
            values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
        for name in values:
            for option in name.strip("[]").split(","):
                if option.strip() not in (*known[group], "None", "null"):
                    raise InputError(
                        f"{group}={option}: no such {group}. {did_you_mean(option, known[group], group)}"
                    )


def load_config(overrides: Sequence[str] = ()) -> Config:
    """Compose a run's configuration.

    Args:
        overrides: words as on the command line, such as ``"hardware=a100"`` or ``"policy.zeta=0.3"``.

    Raises:
        InputError: an unknown option or key (with the nearest known one), or a value of the wrong type.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    words = normalise(overrides)
    check_choices(words)
    running = GlobalHydra.instance().is_initialized()
    try:
        if running:  # inside another Hydra application: do not disturb it
            return from_composed(compose("config", overrides=words))
        with initialize_config_dir(str(conf_folder()), job_name="llmsim", version_base="1.3"):
            return from_composed(compose("config", overrides=words))
    except HydraException as error:
        raise composition_error(error) from error


def composition_error(error: Exception) -> InputError:
    """Hydra's complaint in our words, with the nearest known key where it names an unknown one."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    if first.startswith("Could not override '"):
        key = first.split("'")[1]
        return InputError(f"{key}: no such setting. {did_you_mean(key, known_keys(), 'setting')}")
    if first.startswith("Ambiguous value"):
        return InputError(f"{first.rstrip('.')}: write [one,two] for several at once, or add -m to sweep.")
    return InputError(" ".join(line.strip() for line in text.splitlines() if line.strip()))


def known_keys() -> list[str]:
    """Dotted keys of the default configuration, run-level fields included."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    if GlobalHydra.instance().is_initialized():
        composed = compose("config")
    else:
        with initialize_config_dir(str(conf_folder()), job_name="llmsim", version_base="1.3"):
            composed = compose("config")
    keys: list[str] = []

    def walk(node: object, prefix: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                keys.append(f"{prefix}{key}")
                walk(value, f"{prefix}{key}.")

    walk(OmegaConf.to_container(composed, resolve=False), "")
    return keys


def from_composed(composed: Any) -> Config:
    """The typed run-level configuration from what Hydra composed."""
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(node, dict)
    node.pop("hydra", None)
    for group in (*PLUGIN_GROUPS, *LIST_GROUPS, "workload", "fleet", "task"):
        if group in node and not isinstance(node[group], dict):
            raise InputError(f"{group}={node[group]}: expected an option of conf/{group}, by name.")
    return parse(Config, {str(key): value for key, value in node.items()}, "")


# How a value of each type is called in an error; a type that is not here is called by its own name.
_TYPES = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "text"}


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
    wanted = str(fields[name].type).removesuffix(" | None")
    if wanted.startswith("list"):
        wanted = "a list, such as [one,two]"
    elif wanted.startswith("dict"):
        wanted = _TYPES.get(wanted.removesuffix("]").split(", ")[-1], "a mapping of names to values")
    else:
        wanted = _TYPES.get(wanted, wanted)
    return InputError(f"{prefix}{key}={value}: expected {wanted}.")


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
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

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
        if required and node.get(name, "???") == "???":  # ??? is how YAML says «must be given»
            raise InputError(f"{prefix}{name}: this setting must be given; it has no default.")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), dict(node))
        result = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise _wrong_type(error, fields, dict(node), prefix) from error
    return result  # type: ignore[return-value]
