"""Trials to curves for the chosen hardware and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llmsim.config import Config, parse
from llmsim.curves import kept, library
from llmsim.curves.forms import from_config
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.trials import Trials, read, shipped

Fitter = Callable[[Hardware, Model, int | None], library.FittedCurve]


@dataclass
class TrialsSettings:
    """The `trials` part of a configuration.

    Attributes:
        path: the user's own measurements, or None for the shipped ones.
        kv_cache: which trials of a target that was measured with and without a KV cache; None: those with.
    """

    path: str | None = None
    kv_cache: bool | None = None


def trials_of(config: Config) -> Trials:
    """The trials a run is fitted to: the user's own file where one is given, or else the shipped ones."""
    path = parse(TrialsSettings, config.trials, "trials").path
    return shipped() if path is None else read(Path(path))


def fitter(config: Config, progress: Callable[[int], None] | None = None) -> Fitter:
    """A function that fits one pair after the other to the run's trials."""
    trials = trials_of(config)
    kv_cache = parse(TrialsSettings, config.trials, "trials").kv_cache
    form = from_config(config.curve)
    done = 0

    def fit(hardware: Hardware, model: Model, n_devices: int | None) -> library.FittedCurve:
        """One pair's curve, as the fleet asks for it."""
        nonlocal done
        curve = kept.fit(
            trials,
            system=hardware.trials_name,
            model=model.trials_name,
            n_devices=n_devices,
            kv_cache=kv_cache,
            form=form,
        )
        done += 1
        if progress is not None:
            progress(done)
        return curve

    return fit
