"""Other packages' folders of YAML options: the entry points `llmsim.conf`.

A package names its folder, such as ``example = "llmsim_example.conf"``. The folder is found without importing
anything, so that a package that is broken, or slow to import, costs nothing until it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

ENTRY_POINTS = "llmsim.conf"
# Plug-ins of llmsim's own that are packages of their own: group and name to what installs each.
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    group: {name: f"pip install ./plugins/llmsim-{name} (in llmsim's checkout)" for name in names}
    for group, names in {"backend": ("onnxruntime", "openai", "torch"), "meter": ("zeus",)}.items()
}


def not_installed(group: str, name: str) -> str | None:
    """What to say of a plug-in that could be installed; None where llmsim knows of none of that name."""
    how = ELSEWHERE.get(group, {}).get(name)
    return None if how is None else f"{group}={name} is not installed. Install it: {how}"


def installed_folders() -> list[Path]:
    """The folders that installed packages bring, by the names of their entry points."""
    return list(_folders_on(tuple(sys.path)))


@lru_cache(maxsize=8)
def _folders_on(path: tuple[str, ...]) -> tuple[Path, ...]:
    """The folders of the packages on a search path; looking at every package installed takes a while."""
    folders = [folder_of(point) for point in sorted(entry_points(group=ENTRY_POINTS))]
    return tuple(folder for folder in folders if folder is not None)


def missing_folders() -> dict[str, str]:
    """Entry points whose folder is not there: name to what is wrong and what to do."""
    return {
        point.name: f"{said(point)}: its folder of options, {point.value}, is not there. Reinstall it."
        for point in entry_points(group=ENTRY_POINTS)
        if folder_of(point) is None
    }


def hidden_options(ours: Path) -> dict[str, str]:
    """Options that no one can choose, since llmsim or an earlier package has one of that name: what to do."""
    owners = {(file.parent.name, file.stem): "llmsim" for file in ours.glob("*/*.yaml")}
    found: dict[str, str] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS)):
        folder = folder_of(point)
        for file in () if folder is None else sorted(folder.glob("*/*.yaml")):
            group, option = file.parent.name, file.stem
            owner = owners.setdefault((group, option), said(point))
            if owner != said(point):
                found[f"{group}={option}"] = (
                    f"{said(point)} brings an option of a name that {owner} has; {owner}'s is used. "
                    f"Rename {file}."
                )
    return found


def folder_of(point: EntryPoint) -> Path | None:
    """Where the folder is that an entry point names; None where it is not."""
    top, *below = point.value.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place).joinpath(*below)
        if folder.is_dir():
            return folder
    return None


def said(point: EntryPoint) -> str:
    """The package that brings an entry point, as a person installed it."""
    if point.dist is None:
        return f"a package with the entry point {point.value}"
    return f"{point.dist.name} {point.dist.version}"
