"""The words of the command line: where `conf/` is, which options it has, and one form for every word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from math import isfinite
from pathlib import Path
from typing import Any

from llmsim.errors import InputError, did_you_mean
from llmsim.plugin_conf import installed_folders, not_installed

Value = str | int | float | bool | None

# Groups whose parameters a chosen option may lack: set with ++, so that a sweep over one composes and the
# option that lacks it fails in its own job, by name, without losing the others.
PLUGIN_GROUPS = ("policy", "backend", "curve", "meter")
# Groups of which several options may be chosen at once.
LIST_GROUPS = ("hardware", "model")
# Mappings from names to values, to which a word may add a name.
OPEN_MAPS = (
    "fleet.shares",
    "fleet.devices_by_hardware",
    "fleet.devices_per_instance",
    "fleet.deployments",
    "fleet.topology",
    "workload.arrivals",
    "backends",
    "meters",
    "objective.at_least",
    "objective.at_most",
    "task.targets",
)
# Of these, the ones whose names may be of single deployments (model@hardware).
_BY_DEPLOYMENT = ("fleet.deployments", "backends", "meters")
# Words that a sweep has unless others are given; they say nothing of a run.
ADDED = ("baselines=[]", "report=figures")
_CONFIG_DIR = ("--config-dir", "-cd")
# How Hydra writes signs of its own grammar in the words of a sweep's run, such as the colons of an address.
_ESCAPED = re.compile(r"\\([\\()\[\]{}:=,\s])")
# Groups that may be left empty.
_MAY_BE_NULL = ("experiment",)


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


def groups(folders: Sequence[Path] = ()) -> dict[str, list[str]]:
    """Each configuration group with its options, sorted: ours, installed packages', those in `folders`."""
    found: dict[str, set[str]] = {}
    for folder in (conf_folder(), *installed_folders(), *folders):
        for file in folder.glob("*/*.yaml"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    return {group: sorted(options) for group, options in sorted(found.items())}


def folders_of(words: Sequence[str]) -> list[Path]:
    """The user's own folders of options that the words name: `--config-dir`, and `hydra.searchpath`.

    Raises:
        InputError: a folder that does not exist.
    """
    named: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        flag, equals, value = word.partition("=")
        if before in _CONFIG_DIR:
            named.append(word)
        elif equals and flag in _CONFIG_DIR:
            named.append(value)
        elif equals and flag.lstrip("+") == "hydra.searchpath":
            named += [part.strip(" '\"") for part in value.strip("[]").split(",")]
    folders = [Path(name.removeprefix("file://")) for name in named if name and not name.startswith("pkg://")]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of options (--config-dir).")
    return folders


def is_sweep(words: Sequence[str]) -> bool:
    """Whether the words ask for a sweep."""
    return bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(words))


def normalise(arguments: Sequence[str]) -> list[str]:
    """Command-line words in the one form that Hydra is given.

    ``+hardware=a100`` means ``hardware=a100`` (several ``+hardware=`` make a list); ``policy.x=`` becomes
    ``++policy.x=`` (see PLUGIN_GROUPS), and so do words that add a name to a mapping (OPEN_MAPS); a sweep
    and a measuring backend have no baselines unless some are named, and a sweep's runs have no plots and
    page of their own unless `report=full`. Flags and everything else pass through.

    >>> normalise(["+policy=optimal", "policy.zeta=0,1", "--multirun"])
    ['policy=optimal', '++policy.zeta=0,1', 'baselines=[]', 'report=figures', '--multirun']
    """
    known = groups(folders_of(arguments))
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
        elif "@" in key and bare.startswith(tuple(f"{name}." for name in _BY_DEPLOYMENT)):
            words.append(_as_mapping(bare, value))
        elif bare == "runs":
            words.append(f"task.runs={value if value.startswith('[') else f'[{value}]'}")
        elif _is_open(bare):
            words.append(f"++{bare}={value}")
        else:
            words.append(word)
    for group, values in added.items():
        several = values[0] if len(values) == 1 else f"[{','.join(value.strip('[]') for value in values)}]"
        words[words.index(f"{group}=")] = f"{group}={several}"
    swept = is_sweep(words)
    measured = any(
        word.lstrip("+").startswith("backends")
        or (word.startswith("backend=") and word != "backend=simulator")
        for word in words
    )
    if (swept or measured) and not any(word.startswith("baselines=") for word in words):
        # A sweep compares its own runs, and a measured baseline costs a whole run.
        words = with_word(words, "baselines=[]")
    if swept and not any(word.startswith("report=") for word in words):
        words = with_word(words, "report=figures")
    return words


def _as_mapping(key: str, value: str) -> str:
    """A word for a deployment, as a mapping: in a key, Hydra takes @ for something else."""
    within = next(name for name in _BY_DEPLOYMENT if key.startswith(f"{name}."))
    names = key.removeprefix(f"{within}.").split(".")
    opened = "".join(f"{{{name}: " for name in names)
    return f"++{within}={opened}{value}{'}' * len(names)}"


def with_word(words: Sequence[str], word: str) -> list[str]:
    """The words and one more, beside those of its kind: Hydra refuses words on both sides of a flag."""
    places = [place for place, other in enumerate(words) if "=" in other and not other.startswith("-")]
    place = places[-1] + 1 if places else len(words)
    return [*words[:place], word, *words[place:]]


def _is_open(key: str) -> bool:
    """Whether a word may set a key that the composed configuration lacks."""
    in_plugin = "." in key and key.split(".")[0] in PLUGIN_GROUPS
    return in_plugin or any(key == name or key.startswith(f"{name}.") for name in OPEN_MAPS)


def check_choices(overrides: Sequence[str], folders: Sequence[Path] = ()) -> None:
    """Refuse an option that its group lacks, before anything is composed or run.

    Args:
        overrides: words in the form that `normalise` gives, without flags.
        folders: the user's own, whose options are known as well.

    Raises:
        InputError: with the group, the unknown option and the nearest known one; or an override that cannot
            be parsed.
    """
    known = groups(folders)
    seen: set[str] = set()
    for override in _parsed(overrides):
        group = override.key_or_group
        if group not in known or override.is_delete():
            continue
        if group in seen:
            several = f"Several at once: '{group}=[one,two]'." if group in LIST_GROUPS else "Choose one."
            raise InputError(f"{group}= is given more than once. {several}")
        seen.add(group)
        for option in _options(override, known[group]):
            if option in ("None", "null") and group not in _MAY_BE_NULL:
                raise InputError(f"{group}={option}: choose one. Known: {', '.join(known[group])}.")
            if option not in (*known[group], "None", "null"):
                raise InputError(
                    not_installed(group, option)
                    or f"{group}={option}: no such {group}. {did_you_mean(option, known[group], group)}"
                )


def _parsed(overrides: Sequence[str]) -> list[Any]:
    """The overrides as Hydra parses them; raises InputError for a word that is none."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    for word in overrides:
        if (
            not isinstance(word, str)
            or word.startswith("-")
            or ("=" not in word and not word.startswith("~"))
        ):
            raise InputError(f"{word!r}: expected a word such as 'hardware=a100' or 'policy.zeta=0.3'.")
        if word.startswith("="):
            raise InputError(f"'{word}': a setting's name is missing before the =.")
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(f"The arguments cannot be read. {str(error).splitlines()[0]}") from error


def _options(override: Any, known: Sequence[str]) -> Iterator[str]:
    """The options that an override of a group chooses, those of a sweep and of a pattern included."""
    from hydra.core.override_parser.types import Glob

    value = override.value()
    if isinstance(value, Glob):
        patterns = value.include
        if not any(fnmatch(name, pattern) for name in known for pattern in patterns):
            raise InputError(f"{override.input_line}: matches none of {', '.join(known)}.")
        return
    if override.is_sweep_override():
        values = [str(item) for item in override.sweep_string_iterator()]
    else:
        values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    for names in values:
        for option in names.strip("[]").split(","):
            if option.strip():
                yield option.strip()


def overrides_of(words: Sequence[str]) -> dict[str, Value]:
    """Words as keys and values; a value that reads as a number is one.

    >>> overrides_of(["policy=optimal", "++policy.zeta=0.5", "seed=3"])
    {'policy': 'optimal', 'policy.zeta': 0.5, 'seed': 3}
    >>> overrides_of([r"backend.url=http\\://localhost\\:8000/v1"])
    {'backend.url': 'http://localhost:8000/v1'}
    """
    pairs = (word.partition("=")[::2] for word in words if word not in ADDED)
    return {key.lstrip("+~"): _typed(value) for key, value in pairs}


def _typed(text: str) -> Value:
    """A value as Python has it: an integer, a finite number, or else text, without Hydra's escapes."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if isfinite(number) else text
    return _ESCAPED.sub(r"\1", text)
