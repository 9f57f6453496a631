"""`backend=torch`: models by transformers' classes, run as a serving engine runs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import transformers

from llmsim.api import Deployment, InputError, OutOfMemory, Target
from llmsim_torch.bench import TorchBench
from llmsim_torch.decoder import Decoder
from llmsim_torch.engine import TorchEngine
from llmsim_torch.ops import Heads, TorchOps
from llmsim_torch.resident import Resident
from llmsim_torch.weights import FAMILIES, checkpoint, random_model, weights_of

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# What passes and captured steps of a model take beside its weights and cache on a GPU: assumed, not measured.
PASSES_BYTES = 2_000_000_000
MEMINFO = Path("/proc/meminfo")


@dataclass
class TorchBackend:
    """Runs models on an NVIDIA GPU, or on the CPU (small ones).

    Attributes:
        device: cuda, cuda:1, ..., or cpu.
        checkpoint: a folder or a hub's name; None: random weights from the description of the model.
        max_tokens: of the longest query, prompt and answer.
        cache_tokens: that the KV cache holds, over all queries at once.
        seed: of random weights and prompts.
    """

    method: ClassVar[Literal["measured"]] = "measured"

    device: str = "cuda"
    checkpoint: str | None = None
    max_tokens: int = 8225
    cache_tokens: int = 65_536
    seed: int = 0

    def unavailable(self) -> str | None:
        """Why it cannot run here, and what to do about it; None: it can."""
        if self.device == "cpu" or (self.device.startswith("cuda") and torch.cuda.is_available()):
            return None
        if not self.device.startswith("cuda"):
            return f"backend.device={self.device}: one of cuda, cuda:0, cuda:1, ..., cpu"
        return (
            "no CUDA device: install NVIDIA's driver and a torch built for it, or run small models with "
            "backend.device=cpu"
        )

    def gpu_uuids(self) -> tuple[str, ...]:
        """Identities of the GPUs that it runs on, for meters to read no others."""
        if self.device == "cpu" or self.unavailable() is not None:
            return ()
        return (str(torch.cuda.get_device_properties(torch.device(self.device)).uuid),)

    def resident_bytes(self, deployment: Deployment) -> dict[str, int]:
        """See `llmsim.api.SizingBackend`: weights and cache as they are allocated, and room for passes."""
        target, each = deployment.target, DTYPES[deployment.target.precision].itemsize
        model = target.model
        shape = random_model(model, torch.device("meta"), torch.float32, self.seed)
        weights = sum(item.numel() for item in shape.parameters())
        tokens = self.cache_tokens if target.kv_cache else min(self.max_tokens, model.context_tokens)
        cache = 2 * model.num_hidden_layers * tokens * model.num_key_value_heads * model.head_dim
        passes = 0 if self.device == "cpu" else PASSES_BYTES
        return {"weights": weights * each, "cache": cache * each, "passes": passes}

    def memory_bytes(self) -> int | None:
        """See `llmsim.api.SizingBackend`: what is free, and what this process can use again."""
        if self.device == "cpu":
            return available_bytes()
        if self.unavailable() is not None:
            return None
        device = torch.device(self.device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)

    def open(self, deployment: Deployment) -> TorchEngine:
        """An engine for one deployment; see `llmsim.api.Backend`."""
        target = deployment.target
        try:
            at_once = deployment.max_batch if deployment.discipline == "static" else 1
            return TorchEngine(self._resident(target), target.kv_cache, self.seed, at_once)
        except OutOfMemory as error:
            raise InputError(f"{deployment.name} does not fit {self.device}: {error}") from error

    def open_bench(self, target: Target) -> TorchBench:
        """A bench for a campaign.

        Raises:
            OutOfMemory: the model or its cache does not fit.
            InputError: a device, family or precision that there is not.
        """
        resident = self._resident(target)
        conditions: dict[str, str | int | float | bool] = {
            "weights": "random" if self.checkpoint is None else "checkpoint",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "device": torch.cuda.get_device_name() if resident.device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
        }
        return TorchBench(resident, target.kv_cache, conditions)

    def _resident(self, target: Target) -> Resident:
        reason = self.unavailable()
        if reason is not None:
            raise InputError(reason)
        model = target.model
        if model.family not in FAMILIES:
            raise InputError(
                f"model {model.name}: the family '{model.family}' is not one of {', '.join(FAMILIES)}, which "
                "backend=torch runs."
            )
        if target.precision not in DTYPES or target.n_devices != 1:
            raise InputError(
                f"{model.name} in {target.precision} on {target.n_devices} devices: backend=torch runs "
                f"{', '.join(DTYPES)} on one device."
            )
        try:
            return self._loaded(model, DTYPES[target.precision], target.kv_cache)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(str(error).splitlines()[0]) from error

    def _loaded(self, model: Any, dtype: torch.dtype, kv_cache: bool) -> Resident:
        device = torch.device(self.device)
        if self.checkpoint is None:
            causal = random_model(model, device, dtype, self.seed)
        else:
            causal = checkpoint(self.checkpoint, model, device, dtype)
        ops = TorchOps()
        if device.type == "cuda":
            from llmsim_torch.triton_ops import TritonOps

            ops = TritonOps()
        heads = Heads(model.num_attention_heads, model.num_key_value_heads, model.head_dim)
        most = min(self.max_tokens, model.context_tokens)
        decoder = Decoder(weights_of(causal), heads, model.sliding_window_tokens, most, ops)
        return Resident(decoder, self.cache_tokens if kv_cache else most)


def available_bytes(meminfo: Path = MEMINFO) -> int | None:
    """Bytes of the host's memory that can still be had; None where nothing says."""
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None
