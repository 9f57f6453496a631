"""Fitted curves kept between runs: the same trials and form are fitted once, whoever asks first.

A curve is kept in the process and in a folder of the user's, `~/.cache/llmsim/curves` (the environment's
LLMSIM_CACHE names another; `off` keeps none). The file's name is a hash of all that a fit depends on: the
trials, the target, the form, the code of this package and the versions of the libraries that fit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import logging
import os
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec

from llmsim.curves import library, store
from llmsim.curves.form import Form
from llmsim.curves.library import FittedCurve
from llmsim.errors import InputError
from llmsim.trials.table import Trials

log = logging.getLogger(__name__)

VARIABLE = "LLMSIM_CACHE"
OFF = "off"
# Curves held in the process; a fleet has some tens.
_HELD = 256
_LIBRARIES = ("numpy", "scipy", "lmfit")
# What a fit depends on besides its arguments.
_CODE = ("curves", "trials", "data/curves")

P = ParamSpec("P")


@dataclasses.dataclass(frozen=True)
class Asked:
    """A fit that was asked for; equal ones give equal curves.

    Attributes:
        trials: all trials; compared by their hash.
        trials_sha256: of the trials.
        about: the other arguments of `llmsim.curves.library.fit`, by name, defaults included.
    """

    trials: Trials = dataclasses.field(compare=False, repr=False)
    trials_sha256: str
    about: tuple[tuple[str, Any], ...]

    @property
    def form(self) -> str | Form:
        """The form that was asked for."""
        form: str | Form = dict(self.about)["form"]
        return form


def _keeping(make: Callable[P, FittedCurve]) -> Callable[P, FittedCurve]:
    """A function of the same arguments that makes no curve twice."""
    signature = inspect.signature(make)

    def kept(*args: P.args, **kwargs: P.kwargs) -> FittedCurve:
        """As `llmsim.curves.library.fit`, but a fit that was made before is not made again.

        A curve that comes from a file has no left-out predictions, only their errors.

        Raises:
            NoCurve, InputError: as the library does.
        """
        asked = signature.bind(*args, **kwargs)
        asked.apply_defaults()
        about = dict(asked.arguments)
        trials: Trials = about.pop("trials")
        return _held(Asked(trials, trials.sha256, tuple(about.items())))

    return kept


fit = _keeping(library.fit)


def cache_folder() -> Path | None:
    """Where curves are kept; None where they are not."""
    named = os.environ.get(VARIABLE, "")
    if named == OFF:
        return None
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmsim" / "curves"


@lru_cache(maxsize=_HELD)
def _held(asked: Asked) -> FittedCurve:
    """The curve from the folder, or fitted now and put there; a folder that fails costs a fit, no run."""
    folder = cache_folder() if _is_ours(asked.form) else None
    if folder is None:
        return _fit(asked)
    path = folder / f"{_key(asked)}.json"
    if path.exists():
        try:
            return store.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            log.info("%s cannot be used and is made anew (%s)", path, error)
    curve = _fit(asked)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps(store.as_dict(curve)), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        log.info("the curve is not kept: %s cannot be written (%s)", path, error.strerror)
    return curve


def _fit(asked: Asked) -> FittedCurve:
    return library.fit(asked.trials, **dict(asked.about))


def _is_ours(form: str | Form) -> bool:
    """Whether the form's code is in the hash; a stranger's is not, so its curves are held in the process."""
    return isinstance(form, str) or type(form).__module__.startswith("llmsim.")


def _key(asked: Asked) -> str:
    """Hash of the trials, the arguments, the form's settings and the code."""
    form = asked.form if isinstance(asked.form, str) else [asked.form.name, dataclasses.asdict(asked.form)]  # type: ignore[call-overload]
    parts = [asked.trials_sha256, {**dict(asked.about), "form": form}, _code()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """Hash of the code that fits, and of the libraries' versions."""
    digest = hashlib.sha256("".join(f"{name} {version(name)};" for name in _LIBRARIES).encode())
    package = Path(__file__).parent.parent
    for folder in _CODE:
        for file in sorted((package / folder).glob("*.*")):
            if file.suffix in (".py", ".yaml"):
                digest.update(file.read_bytes())
    return digest.hexdigest()
