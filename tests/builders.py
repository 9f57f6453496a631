"""Small fleets and workloads for tests, with costs that can be checked by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import Cost
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices, price
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.specs.target import Target
from llmsim.workload.queries import Queries


@dataclass(frozen=True)
class LinearCurve:
    """So many joules and seconds a token."""

    joules_per_token: float | None = 1.0
    seconds_per_token: float | None = 0.01

    def cost(self, tau_in, tau_out):
        """By tokens, prompt and answer alike; None where a rate is None."""
        tokens = (tau_in + tau_out).astype(float)
        energy = None if self.joules_per_token is None else self.joules_per_token * tokens
        return Cost(
            runtime_s=None if self.seconds_per_token is None else self.seconds_per_token * tokens,
            runtime_se_s=None if self.seconds_per_token is None else 0 * tokens,
            energy_j=energy,
            energy_se_j=None if energy is None else 0 * tokens,
            extrapolated=np.zeros(len(tokens), dtype=bool),
        )


def hardware(name="box", **changes) -> Hardware:
    """A node of one device, 100 W busy and 10 W idle, unless changed."""
    facts = {
        "title": name, "device": "device", "kind": "gpu", "devices_per_node": 1, "peak_tflops": 1.0,
        "peak_dtype": "bf16", "bandwidth_gb_s": 1.0, "tdp_w": 100.0, "energy_scope": "GPU boards",
        "idle_power_w": 10.0, "idle_power_source": "made up", **changes,
    }  # fmt: skip
    return Hardware(name=name, **facts)


def model(name="m", context_tokens=1000, accuracy_pct=50.0) -> Model:
    return Model(
        name=name, title=name, hf_id=name, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, head_dim=8, vocab_size=10, experts=0,
        experts_per_token=0, mlp_matrices=3, tied_embeddings=True, param_count=10, active_param_count=10,
        weight_bytes=20, kv_bytes_per_token=4, context_tokens=context_tokens, accuracy_pct=accuracy_pct,
    )  # fmt: skip


def deployment(
    name="m", *, joules=1.0, seconds=0.01, instances=1, share=1.0, context=1000, accuracy=50.0, idle=10.0
):
    return Deployment(
        name=f"{name}@box",
        target=Target(model(name, context, accuracy), hardware(idle_power_w=idle), 1, "bf16", False, 1),
        curve=LinearCurve(joules, seconds),
        discipline="serial",
        instances=instances,
        share=share,
    )


def queries(tau_in, tau_out, arrival_s=None, accuracy_pct=None) -> Queries:
    """Queries that all arrive at 0 unless said; arrays or lists of equal length."""
    n = len(tau_in)
    arrival = np.zeros(n) if arrival_s is None else np.asarray(arrival_s, dtype=float)
    return Queries(
        arrival,
        np.asarray(tau_in, np.int64),
        np.asarray(tau_out, np.int64),
        accuracy_pct or {},
        "test",
        "made up",
    )


@dataclass
class Seen:
    """A view with everything given."""

    eligible: tuple[int, ...] = (0,)
    now_s: float = 0.0
    query: int = 0
    present: tuple[int, ...] = ()
    slots: tuple[int, ...] = ()
    energy_j: tuple[float, ...] = ()
    runtime_s: tuple[float, ...] = ()
    accuracy_pct: tuple[float, ...] = ()
    done_s: tuple[float, ...] = ()

    def completion_s(self, deployment):
        return self.done_s[deployment]


def random_prices(rng: np.random.Generator, n: int, k: int, accuracies=True) -> Prices:
    """n queries of few distinct pairs on k deployments of differing cost and context."""
    return price(
        queries(rng.integers(1, 60, n), rng.integers(1, 60, n), np.sort(rng.uniform(0, 10, n))),
        [
            deployment(
                f"m{i}",
                joules=float(rng.uniform(0.5, 5)),
                seconds=float(rng.uniform(0.001, 0.1)),
                instances=int(rng.integers(1, 4)),
                share=1 / k,
                context=int(rng.integers(60, 130)) if i else 1000,
                accuracy=float(rng.uniform(30, 80)) if accuracies else None,
            )
            for i in range(k)
        ],
    )
