"""What the fidelity campaign measures, and the runs that are then held against the simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plan import Job, Settings

SOURCE = "h200_fidelity"

# Repeats of a cell, and how many before another is visited: more cells are worth more than more repeats.
LEAST, PER_VISIT, TINY_LEAST = 3, 3, 2

# Longest prompt and answer of each kind of run. Static: two models and the caches of their places fit one
# H200, and three policies take less than five minutes. Continuous: no answer of the trace is longer.
STATIC_CAPS, RATED_CAPS, HYBRID_CAPS, TINY_CAPS = (1536, 400), (1536, 1000), (512, 128), (48, 12)
BATCH = 32
STATIC_QUERIES, RATED_QUERIES, WALL_QUERIES, HYBRID_QUERIES = 500, 500, 300, 120
WALL_RATE_PCT = 60
# Load of the GPU of the hybrid run, of what it serves one query at a time: some must wait, or go to the CPU.
HYBRID_LOAD = 1.5

# Batches 1 to 32, contexts up to 2,048; single prompts end in the middle of their padding, as in plan.py.
DECODE = (
    (1, 64), (1, 1000), (1, 2000), (2, 500), (4, 128), (4, 1500), (8, 512), (8, 1800), (16, 64), (16, 1000),
    (24, 500), (32, 128), (32, 700), (32, 1300), (32, 1800),
)  # fmt: skip
SINGLE = ((1, 1), (56, 1), (200, 1), (296, 1), (424, 1), (592, 1), (1000, 1), (1250, 1), (1500, 1))
# A static batch prefills up to 32 prompts at once.
TOGETHER = ((100, 8), (1000, 4), (1000, 8), (500, 16), (1000, 16), (500, 32), (1000, 32))
# Passes amid steps: from so few that they leave nothing to spare to so many that a long pass has it all.
MIXED = (
    (1, 120, 9), (1, 250, 9), (1, 500, 13), (1, 1000, 5), (1, 1000, 25), (4, 1000, 12), (4, 1000, 60),
    (8, 1000, 40), (16, 1000, 70), (32, 900, 100),
)  # fmt: skip
CORE = Settings(DECODE, (*SINGLE, *TOGETHER), together=MIXED)
# Never fitted.
CHECK = Settings(
    ((3, 300), (12, 1000), (28, 900)),
    ((90, 1), (700, 1), (700, 24)),
    together=((2, 600, 10), (12, 800, 50)),
)
SMALL = Settings(
    ((1, 16), (1, 256), (1, 640), (2, 128), (4, 512), (8, 64), (8, 512)),
    (
        (1, 1), (24, 1), (56, 1), (104, 1), (136, 1), (200, 1), (264, 1), (344, 1), (424, 1), (504, 1),
        (100, 4),
    ),
)  # fmt: skip
SMALL_CHECK = Settings(((1, 400),), ((180, 1),), together=((1, 300, 100),))

CPU_MODEL = "qwen2_5_1_5b"
JOBS = (
    Job("llama2_7b", CORE, CHECK), Job("llama2_13b", CORE, CHECK), Job(CPU_MODEL, SMALL, SMALL_CHECK),
)  # fmt: skip
# It serves single queries only; fits need a second batch. Repeats lie apart, since other tenants of the host
# slow it by a tenth for a while. Threads: not all cores, which the meter of the GPU and the run itself need.
CPU_THREADS = 12
CPU_LEVELS = (
    "task.prefill_tokens=[1,32,64,128,512]", "task.prefill_batch=[1,2]", "task.decode_batch=[1,2]",
    "task.decode_context=[16,256,384,512,600]", "task.steps=16", "task.window_s=0.6", "task.settle_s=0.3",
    "task.per_visit=1", "task.least=3", "task.most=3", "task.generation=null",
)  # fmt: skip

TINY_BATCH, TINY_QUERIES = 4, 16
TINY_PARTS = Settings(
    ((1, 16), (1, 32), (1, 48), (2, 32), (3, 40), (4, 16), (4, 48)),
    ((1, 1), (16, 1), (40, 1), (32, 2), (24, 4)),
    together=((1, 16, 3), (1, 24, 9), (2, 24, 5), (4, 24, 4), (4, 24, 10)),
)
TINY_JOBS = (
    Job("tiny_a", TINY_PARTS, Settings(((2, 24),), ((24, 1),), together=((2, 16, 4),))),
    Job("tiny_b", TINY_PARTS, Settings(((2, 24),))),
)
TINY_LEVELS = (
    "task.prefill_tokens=[1,8,16,32]", "task.prefill_batch=[1,2]", "task.decode_context=[16,32,48,64]",
    "task.decode_batch=[1,2,4]", "task.steps=2", "task.window_s=0", "task.settle_s=0", "task.least=2",
    "task.most=2",
)  # fmt: skip
TINY_MODEL = """# @package model.{name}
title: "Tiny"
hf_id: ""
family: "llama"
hidden_size: 64
intermediate_size: 128
num_hidden_layers: {layers}
num_attention_heads: 4
num_key_value_heads: 2
head_dim: 16
vocab_size: 96
experts: 0
experts_per_token: 0
mlp_matrices: 3
tied_embeddings: false
context_tokens: 256
param_count: 100000
active_param_count: 100000
weight_bytes: 200000
kv_bytes_per_token: 256
accuracy_pct: {accuracy}
accuracy_source: "made up"
dims_source: "made up"
trials_model: null
"""


Caps = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """One command of the runs.

    Attributes:
        name: of its folder.
        expected_s: about how long it takes, loading and capturing counted in.
        words: what follows `python -m llmsim`, told the rates that were found.
    """

    name: str
    expected_s: float
    words: Callable[[Mapping[str, Any]], list[str]]


@dataclass(frozen=True)
class Setting:
    """Where the runs take place.

    Attributes:
        tiny: on the CPU, with toy models of the folder `conf`.
        trials: the campaign's table.
        conf: of the toy models.
    """

    tiny: bool
    trials: Path
    conf: Path

    @property
    def models(self) -> tuple[str, str, str]:
        """Two that serve together, and the one that both a GPU and a CPU serve."""
        return ("tiny_a", "tiny_b", "tiny_a") if self.tiny else ("llama2_7b", "llama2_13b", CPU_MODEL)

    @property
    def folder(self) -> list[str]:
        """Words that name the toy models' descriptions."""
        return [f"--config-dir={self.conf}"] if self.tiny else []

    def count(self, queries: int) -> int:
        """Queries of a run."""
        return TINY_QUERIES if self.tiny else queries

    @property
    def batch(self) -> int:
        """Places of an instance."""
        return TINY_BATCH if self.tiny else BATCH

    def caps(self, asked: Caps) -> Caps:
        """Longest prompt and answer."""
        return TINY_CAPS if self.tiny else asked

    def common(self, hardware: str, caps: Caps) -> list[str]:
        """Words of every run."""
        most_in, most_out = self.caps(caps)
        return [
            f"hardware={hardware}", "fleet=one_each", "workload=azure_conv", f"workload.tau_in_max={most_in}",
            f"workload.tau_out_max={most_out}", f"trials.path={self.trials}", "report=figures",
            "hydra.run.dir=result", *self.folder,
        ]  # fmt: skip

    def torch(self, places: int, caps: Caps) -> list[str]:
        """Words of a run by PyTorch, with a cache of so many places."""
        each = longest(self.caps(caps))
        return [
            "backend=torch", f"backend.max_tokens={each}", f"backend.cache_tokens={places * each}",
            "backend.device=cpu" if self.tiny else "meter.devices=[0]",
        ]  # fmt: skip

    @property
    def cpu(self) -> dict[str, int]:
        """Settings of ONNX Runtime, in the campaign and when it serves: the same, so that both are alike."""
        threads = {} if self.tiny else {"threads": CPU_THREADS}
        return {"max_tokens": longest(self.caps(HYBRID_CAPS)), **threads}

    def continuous(self) -> list[str]:
        """Words of a run of one model in continuous batches, simulated or not."""
        return [
            *self.common("h200", RATED_CAPS), f"model={self.models[0]}", "policy=round_robin", "baselines=[]",
            "fleet.serving.discipline=continuous", f"fleet.serving.max_batch={self.batch}",
        ]  # fmt: skip

    def alone(self, hardware: str = "h200") -> list[str]:
        """Words of a run of the small model, one query at a time."""
        return [
            *self.common(hardware, HYBRID_CAPS), f"model={self.models[2]}", "fleet.serving.discipline=serial",
        ]  # fmt: skip


def longest(caps: Caps) -> int:
    """Tokens of the longest query, with some room."""
    return sum(caps) + 16


def static(setting: Setting, policy: str, seed: int, baselines: str = "[]") -> list[str]:
    """Two models in static batches, everything there at once."""
    own = {
        "optimal": ["policy.zeta=0.5", "policy.min_share=0.8"],
        "zeta_cost": ["policy.zeta=0.8"],
    }.get(policy, [])
    return [
        *setting.common("h200", STATIC_CAPS), *setting.torch(setting.batch, STATIC_CAPS),
        f"model=[{','.join(setting.models[:2])}]",
        f"workload.limit={setting.count(STATIC_QUERIES)}", "workload.arrivals={process: at_once}",
        "fleet.serving.discipline=static", f"fleet.serving.max_batch={setting.batch}", f"policy={policy}",
        *own, f"baselines={baselines}", f"seed={seed}",
    ]  # fmt: skip


def rated(setting: Setting, found: Mapping[str, Any], pct: int, queries: int) -> list[str]:
    """One model, continuous batches, so many percent of its capacity; lengths drawn from the whole trace."""
    rate_per_s = found["capacity_per_s"] * pct / 100
    return [
        *setting.continuous(), *setting.torch(setting.batch + 1, RATED_CAPS),
        f"workload.resample={setting.count(queries)}",
        f"workload.arrivals={{process: poisson, rate_per_s: {rate_per_s:.4f}}}",
    ]  # fmt: skip


def hybrid(setting: Setting, found: Mapping[str, Any]) -> list[str]:
    """One model on a GPU and a CPU, one query at a time on each, sent where it is predicted to be done first.

    Times only: the CPU has no meter, so the policy asks for no joules.
    """
    rate_per_s = found["serial_per_s"] * HYBRID_LOAD
    cpu = ", ".join(f"{key}: {value}" for key, value in setting.cpu.items())
    gpu_alone = f"{{name: single, deployment: {setting.models[2]}@h200}}"
    return [
        *setting.alone("[h200,cpu]"), *setting.torch(2, HYBRID_CAPS),
        f"backends.cpu={{name: onnxruntime, {cpu}}}", f"baselines=[{gpu_alone}]",
        "policy=zeta_cost", "policy.zeta=0", "policy.against=runtime",
        f"workload.resample={setting.count(HYBRID_QUERIES)}",
        f"workload.arrivals={{process: poisson, rate_per_s: {rate_per_s:.4f}}}",
    ]  # fmt: skip


def pieces(setting: Setting) -> list[Piece]:
    """The runs, in order of need."""
    three = "[round_robin,{name: zeta_cost, zeta: 0.8}]"

    def at(pct: int, seconds: float) -> Piece:
        return Piece(f"continuous_{pct}", seconds, lambda found: rated(setting, found, pct, RATED_QUERIES))

    return [
        Piece("static", 275, lambda found: static(setting, "optimal", 0, three)),
        at(60, 92),
        at(85, 72),
        at(30, 150),
        Piece("hybrid", 110, lambda found: hybrid(setting, found)),
        Piece("wall", 78, lambda found: [*rated(setting, found, WALL_RATE_PCT, WALL_QUERIES), "clock=wall"]),
        Piece("again_round_robin", 108, lambda found: static(setting, "round_robin", 1)),
        Piece("again_optimal", 92, lambda found: static(setting, "optimal", 1)),
        Piece("again_zeta_cost", 108, lambda found: static(setting, "zeta_cost", 1)),
    ]
