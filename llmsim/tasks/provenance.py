"""Where a run's figures come from."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import llmsim
from llmsim.config import Config
from llmsim.fleet.fleet import Fleet


def provenance(config: Config, fleet: Fleet) -> dict[str, Any]:
    """Curves with their source and left-out error, hardware facts, versions and the configuration's hash."""
    hardware = {item.target.hardware.name: item.target.hardware for item in fleet.deployments}
    return {
        "llmsim_version": llmsim.__version__,
        "git_revision": git_revision(),
        "config_sha256": config.sha256(),
        "curves": {item.name: dict(item.provenance) for item in fleet.deployments},
        "hardware": {
            name: {
                "title": node.title,
                "device": node.device,
                "tdp_w": node.tdp_w,
                "energy_scope": node.energy_scope,
                "models": list(node.models),
                "spec_source": node.spec_source,
                "spec_status": node.spec_status,
            }
            for name, node in hardware.items()
        },
    }


def idle_power(fleet: Fleet) -> dict[str, Any]:
    """Watts of one idle device of each hardware, with the source and whether a model was loaded."""
    return {
        node.name: {
            "power_w": node.idle_power_w,
            "per": "device",
            "model_loaded": node.idle_power_model_loaded,
            "source": node.idle_power_source,
        }
        for node in (item.target.hardware for item in fleet.deployments)
    }


@lru_cache(maxsize=1)
def git_revision() -> str | None:
    """The revision of the checkout that llmsim runs from; None when it was installed otherwise.

    It ends in ``-dirty`` where the checkout differs from that revision.
    """
    folder = Path(llmsim.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git here: the version has to do
        return None
    return answer.stdout.strip()
