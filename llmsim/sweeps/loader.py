"""Composing the jobs of a sweep: what they have in common once, then only what differs.

Hydra composes each job from its files, which takes longer than a short run's own work. Which files are read
is decided by the words that choose options; the others only set values. So the configuration of the former
is kept, and the latter are set on a copy, by Hydra's own function.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

# Fields of a run that belong to no group; every other word without a dot may choose an option.
_PLAIN = ("seed", "report", "baselines", "clock", "perfetto", "replications")
# Sets of choices whose configurations a process keeps, of some 30 kB each.
_KEPT = 256


@dataclass(frozen=True)
class QuickLoader(ConfigLoader):
    """Hydra's loader, but for the jobs of a sweep. Equal ones, in one process, share what is kept.

    Attributes:
        delegate: Hydra's own.
        path: the folders it searches.
    """

    delegate: Any = field(compare=False)
    path: tuple[tuple[str, str], ...]

    @classmethod
    def over(cls, delegate: ConfigLoader) -> QuickLoader:
        """Around Hydra's loader."""
        path = delegate.get_search_path().get_path()
        return cls(delegate, tuple((str(item.provider), str(item.path)) for item in path))

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """One job's configuration, equal to what Hydra's loader gives."""
        parsed = [_parsed(word) for word in sweep_overrides]
        values = [item for item in parsed if _sets_value(item)]
        choices = tuple(w for w, item in zip(sweep_overrides, parsed, strict=True) if not _sets_value(item))
        flags = tuple(words_in(master_config.hydra.overrides.hydra))
        config: DictConfig = _base(self, master_config.hydra.job.config_name, flags, choices)()
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        with open_dict(config.hydra):
            config.hydra.overrides.task = [item.input_line for item in parsed]
            naming = config.hydra.job.config.override_dirname
            config.hydra.job.override_dirname = get_overrides_dirname(
                overrides=parsed,
                kv_sep=naming.kv_sep,
                item_sep=naming.item_sep,
                exclude_keys=naming.exclude_keys,
            )
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """As Hydra's."""
        config: DictConfig = self.delegate.load_configuration(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )
        return config

    def get_search_path(self) -> ConfigSearchPath:
        """As Hydra's."""
        path: ConfigSearchPath = self.delegate.get_search_path()
        return path

    def get_sources(self) -> list[ConfigSource]:
        """As Hydra's."""
        sources: list[ConfigSource] = self.delegate.get_sources()
        return sources

    def list_groups(self, parent_name: str) -> list[str]:
        """As Hydra's."""
        names: list[str] = self.delegate.list_groups(parent_name)
        return names

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: Sequence[str] | None = None,
    ) -> list[str]:
        """As Hydra's."""
        options: list[str] = self.delegate.get_group_options(
            group_name, results_filter, config_name, overrides
        )
        return options

    def compute_defaults_list(self, config_name: str | None, overrides: list[str], run_mode: RunMode) -> Any:
        """As Hydra's."""
        return self.delegate.compute_defaults_list(config_name, overrides, run_mode)


def words_in(node: ListConfig) -> list[str]:
    """Words that Hydra keeps, as they were given: an interpolation in one is for the configuration."""
    given: Any = OmegaConf.to_container(node)
    return [str(word) for word in given]


def _sets_value(override: Override) -> bool:
    """Whether a word only sets a value, whatever options are chosen."""
    key = override.key_or_group
    plain = "." in key or key in _PLAIN
    return plain and override.package is None and not override.is_delete() and "/" not in key


@lru_cache(maxsize=4096)
def _parsed(word: str) -> Override:
    """A word as Hydra parses it; a sweep repeats most of them."""
    return OverridesParser.create().parse_override(word)


@lru_cache(maxsize=_KEPT)
def _base(
    loader: QuickLoader, name: str, flags: tuple[str, ...], choices: tuple[str, ...]
) -> Callable[[], DictConfig]:
    """What gives a copy of the configuration that a set of choices makes."""
    config = loader.delegate.load_configuration(name, [*flags, *choices], RunMode.RUN)
    try:
        return partial(pickle.loads, pickle.dumps(config))  # four times as quick as a deep copy
    except pickle.PicklingError:  # Hydra has loaded a plug-in's module twice, and found two of its class
        return partial(copy.deepcopy, config)
