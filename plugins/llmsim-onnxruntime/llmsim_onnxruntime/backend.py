"""`backend=onnxruntime`: models as ONNX graphs, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import onnxruntime

from llmsim.api import Deployment, InputError, OutOfMemory, Target
from llmsim_onnxruntime.bench import OnnxRuntimeBench
from llmsim_onnxruntime.engine import OnnxRuntimeEngine
from llmsim_onnxruntime.file import open_file
from llmsim_onnxruntime.graph import Making
from llmsim_onnxruntime.memory import available_bytes
from llmsim_onnxruntime.own import dimensions_of, open_random, weight_bytes
from llmsim_onnxruntime.quantised import BITS
from llmsim_onnxruntime.resident import Resident
from llmsim_onnxruntime.session import cpu_name, usable_cores


@dataclass
class OnnxRuntimeBackend:
    """Runs models on the CPU.

    Attributes:
        path: an ONNX file of the chosen model; None: a graph with random weights, built from its description.
        threads: of each operator; None: as many as there are cores to use.
        max_tokens: of the longest query, prompt and answer.
        seed: of random weights and prompts.
    """

    method: ClassVar[Literal["measured"]] = "measured"
    # Two campaigns on one CPU would measure each other, whatever hardware they are said to be of.
    device: ClassVar[str] = "cpu"

    path: str | None = None
    threads: int | None = None
    max_tokens: int = 8225
    seed: int = 0

    def unavailable(self) -> str | None:
        """Why it cannot run here, and what to do about it; None: it can."""
        if self.threads is not None and self.threads < 1:
            return f"backend.threads={self.threads}: at least 1, or null for all cores"
        if self.path is not None and not Path(self.path).is_file():
            return f"backend.path={self.path}: there is no such file"
        return None

    def gpu_uuids(self) -> tuple[str, ...]:
        """It runs on no GPU: no meter of GPUs sees its work."""
        return ()

    def resident_bytes(self, deployment: Deployment) -> dict[str, int]:
        """See `llmsim.api.SizingBackend`: the weights, and the cache of a batch of longest queries."""
        target = deployment.target
        most = min(self.max_tokens, target.model.context_tokens)
        weights = (
            weight_bytes(target.model, target.precision) if self.path is None else _size(Path(self.path))
        )
        rows = deployment.max_batch if target.kv_cache else 1
        return {"weights": weights, "cache": dimensions_of(target.model, most).cache_bytes(rows, most)}

    def memory_bytes(self) -> int | None:
        """See `llmsim.api.SizingBackend`."""
        return available_bytes()

    def open(self, deployment: Deployment) -> OnnxRuntimeEngine:
        """An engine for one deployment; see `llmsim.api.Backend`."""
        target = deployment.target
        try:
            at_once = deployment.max_batch if deployment.discipline == "static" else 1
            return OnnxRuntimeEngine(self._resident(target), target.kv_cache, self.seed, at_once)
        except OutOfMemory as error:
            raise InputError(f"{deployment.name} does not fit the memory: {error}") from error

    def open_bench(self, target: Target) -> OnnxRuntimeBench:
        """A bench for a campaign.

        Raises:
            OutOfMemory: the weights do not fit.
            InputError: a family or precision that there is not, or a file that cannot be run.
        """
        resident = self._resident(target)
        conditions: dict[str, str | int | float | bool] = {
            "weights": "random" if self.path is None else f"file {Path(self.path).name}",
            "activations": "int8" if self.path is None and target.precision in BITS else "as the graph says",
            "onnxruntime": onnxruntime.__version__,
            "device": cpu_name(),
            "cores": usable_cores(),
            "threads": self._threads(),
        }
        return OnnxRuntimeBench(resident, target.kv_cache, conditions)

    def _resident(self, target: Target) -> Resident:
        """A target's graph in memory: the user's file, or one with random weights."""
        reason = self.unavailable()
        if reason is not None:
            raise InputError(reason)
        if target.n_devices != 1:
            raise InputError(f"{target.n_devices} devices: backend=onnxruntime runs on one CPU; n_devices=1")
        model = target.model
        most = min(self.max_tokens, model.context_tokens)
        if self.path is None:
            session = open_random(model, Making(target.precision, most), self._threads(), self.seed)
            return Resident(session, dimensions_of(model, most), self.seed)
        session, dimensions = open_file(Path(self.path), model, most, self._threads())
        return Resident(session, dimensions, self.seed)

    def _threads(self) -> int:
        return usable_cores() if self.threads is None else self.threads


def _size(path: Path) -> int:
    """Bytes of a graph's file, and of its weights where they lie beside it."""
    beside = path.with_name(f"{path.name}.data")
    return sum(file.stat().st_size for file in (path, beside) if file.is_file())
