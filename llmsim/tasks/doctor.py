"""task=doctor: every meter and backend: available, or why not and what to do about it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsim.arguments import conf_folder
from llmsim.backends import BACKENDS
from llmsim.config import Config
from llmsim.curves.forms import FORMS
from llmsim.errors import InputError
from llmsim.measurement import METERS
from llmsim.measurement.contract import Meter
from llmsim.plugin_conf import hidden_options, missing_folders
from llmsim.policies import POLICIES
from llmsim.registry import Registry
from llmsim.tasks.characterize import Characterize, opened

# Time for clocks to fall, and the window, s.
IDLE_REST_S, IDLE_WINDOW_S = 1.0, 2.0

Finding = dict[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        findings: one a meter, device or backend: kind, name, state (available, missing), detail.
    """

    findings: list[Finding]

    @property
    def objective(self) -> float:
        """How many things are not available."""
        return float(sum(finding["state"] != "available" for finding in self.findings))

    def save(self, folder: Path) -> None:
        """Write `doctor.json`."""
        from llmsim.report.write import write_json

        write_json({"findings": self.findings}, folder / "doctor.json")

    def show(self, console: Any) -> None:
        """Print the findings."""
        from rich.table import Table

        table = Table(title="What can be measured here")
        for name in ("what", "name", "state", "detail, or what to do"):
            table.add_column(name, overflow="fold")
        for finding in self.findings:
            table.add_row(finding["kind"], finding["name"], finding["state"], finding["detail"])
        console.print(table)


@dataclass
class Doctor:
    """Look at every meter and backend; with a backend, a hardware and a model chosen, load that model too.

    Attributes:
        idle: also measure idle power, which takes two seconds a meter: bare, and with the model loaded.
    """

    idle: bool = True

    def run(self, config: Config, progress: Any = None) -> Diagnosis:
        """Look."""
        findings: list[Finding] = []
        open_meters: list[tuple[Finding, Meter]] = []
        for name in _names(METERS):
            node = config.meter if config.meter.get("name") == name else {"name": name}
            try:
                meter: Meter = METERS.build(node)
                findings.append(_meter(name, meter, self.idle))
            except Exception as error:  # whatever a stranger's plug-in raises when asked
                findings.append(_finding("meter", name, _failed(error)))
                continue
            if findings[-1]["state"] == "available":
                open_meters.append((findings[-1], meter))
        if self.idle and open_meters:
            _with_a_model(config, open_meters)
        for _, meter in open_meters:
            meter.close()
        findings += [_backend(name, config) for name in _names(BACKENDS)]
        return Diagnosis(findings + _plugins())


def _meter(name: str, meter: Meter, idle: bool) -> Finding:
    """Whether a meter can be read, and how; with its idle power if asked for."""
    reason = meter.unavailable()
    if reason is not None:
        return _finding("meter", name, reason)
    detail = [_described(item) for item in getattr(meter, "describe", list)()]
    if idle:
        detail.append(f"bare: {_idle(meter)}")
    return _finding("meter", name, None, "; ".join(detail))


def _described(item: dict[str, Any]) -> str:
    """One source of a meter, as the table shows it."""
    where = f"gpu{item['index']} {item['device']} (card {item['card']})" if "card" in item else item["device"]
    period = item["period_s"]
    moves = "its period was not seen" if period is None else f"an update every {period * 1000:.1f} ms"
    text = f"{where}: {item['how']}, {moves}, a read costs {item['read_cost_s'] * 1000:.2f} ms"
    limit = item.get("power_limit_w")
    return text if limit is None else f"{text}, limit {limit} W"


def _with_a_model(config: Config, meters: list[tuple[Finding, Meter]]) -> None:
    """Add to each meter's finding what its devices draw while the chosen model is loaded."""
    try:
        said = _loaded(config, [meter for _, meter in meters])
    except InputError as error:
        said = [f"with a model loaded: not measured ({error})"] * len(meters)
    for (finding, _), text in zip(meters, said, strict=True):
        finding["detail"] += f"; {text}"


def _loaded(config: Config, meters: list[Meter]) -> list[str]:
    """Idle power of each meter's devices with the chosen model in memory, in words."""
    chosen = config.backend.get("name")
    backend = BACKENDS.build(config.backend)
    if not hasattr(backend, "open_bench") or len(config.hardware) != 1 or len(config.model) != 1:
        raise InputError("choose what loads one: backend=torch hardware=NAME model=NAME")
    target = Characterize().target(config)
    bench = opened(backend, target)
    try:
        said = [_idle(meter) for meter in meters]
    finally:
        bench.close()
    return [f"with {target.model.name} loaded by {chosen}: {text}" for text in said]


def _idle(meter: Meter) -> str:
    """Idle power of each of a meter's sources, in words, after a rest."""
    time.sleep(IDLE_REST_S)
    meter.start()
    time.sleep(IDLE_WINDOW_S)
    shown = []
    for reading in meter.stop():
        if reading.power_w is None:
            shown.append(f"{reading.source}: {'; '.join(reading.warnings)}")
        else:
            shown.append(f"{reading.source} draws {reading.power_w:.1f} W idle ({reading.method})")
    return "; ".join(shown)


def _names(registry: Registry) -> list[str]:
    """What there is, and what could be installed."""
    return sorted({*registry.names(), *registry.elsewhere})


def _backend(name: str, config: Config) -> Finding:
    """Whether a backend can run."""
    node = config.backend if config.backend.get("name") == name else {"name": name}
    try:
        backend = BACKENDS.build(node)
        reason = getattr(backend, "unavailable", lambda: None)()
    except Exception as error:  # whatever a stranger's plug-in raises when asked
        return _finding("backend", name, _failed(error))
    return _finding("backend", name, reason, str(getattr(backend, "method", "")))


def _failed(error: Exception) -> str:
    """What a plug-in's own error means to who uses it."""
    if isinstance(error, InputError):
        return str(error)
    return (
        f"it fails when asked ({type(error).__name__}: {error}). Reinstall its package, or tell its authors."
    )


def _plugins() -> list[Finding]:
    """Other packages' plug-ins and options that cannot be used."""
    found = [
        _finding(f"plug-in ({registry.kind})", name, reason)
        for registry in (POLICIES, FORMS, METERS, BACKENDS)
        for name, reason in registry.problems().items()
    ]
    broken = {**missing_folders(), **hidden_options(conf_folder())}
    return found + [_finding("plug-in (options)", name, reason) for name, reason in broken.items()]


def _finding(kind: str, name: str, reason: str | None, detail: str = "") -> Finding:
    """A row of the table; without a reason against it, the thing is available."""
    state = "available" if reason is None else "missing"
    return {"kind": kind, "name": name, "state": state, "detail": detail if reason is None else reason}
