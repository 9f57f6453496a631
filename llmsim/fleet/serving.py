"""How the instances of a deployment take queries up: its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmsim.config import parse
from llmsim.errors import InputError, did_you_mean

# `thesis_script` repeats a defect, for the study of it (experiment=wilkins_online).
DISCIPLINES = ("serial", "static", "continuous", "thesis_script")
ONE_AT_A_TIME = ("serial", "thesis_script")
DISPATCHERS = ("shared", "join_shortest", "round_robin")
RESERVATIONS = ("reserve", "grow")
ORDERS = ("prefill", "decode")


@dataclass(frozen=True)
class Serving:
    """The `serving` part of a fleet's configuration, for one deployment.

    Attributes:
        discipline: `serial` (one query at a time), `static` (batches that start and end together) or
            `continuous` (queries enter and leave at every iteration); None: by the curve, `continuous` for
            a phase curve and `serial` for a query curve. `thesis_script` is serial with a defect: instances
            come free in the order in which they started, so that a long query holds up those after it.
        dispatcher: `shared` (one queue for the deployment), `join_shortest` or `round_robin`; None: shared
            for serial and static, join_shortest for continuous.
        max_batch: most queries served together; None: the target's. Serial has 1.
        batch_wait_s: static: how long the first of a batch waits for it to fill.
        kv: continuous: `reserve` keeps memory for prompt and predicted answer, `grow` for the prompt only.
        memory_fraction: part of the devices' memory that weights and KV cache may fill.
        first: continuous: `prefill` admits at every boundary; `decode` lets the batch finish before it.
        longest_wait_s: continuous, decode first: after this long a waiting query is prefilled all the same.
        chunk_tokens: continuous: most prompt tokens prefilled in one step, beside the decoding queries, at
            a cost that is modelled; None: prompts are prefilled whole.
        keep_alive_s: how long an idle instance stays on before it sleeps; None: always.
        wake_s, wake_j: time and energy to wake it.
        asleep_power_w: power of a sleeping instance, all its devices.
        pricing_batch: queries that share a step when a policy prices one of them; None: 1 for serial, else
            the most that are served together. Only phase curves know of it.
    """

    discipline: str | None = None
    dispatcher: str | None = None
    max_batch: int | None = None
    batch_wait_s: float = 0.0
    kv: str = "reserve"
    memory_fraction: float = 0.9
    first: str = "prefill"
    longest_wait_s: float | None = None
    chunk_tokens: int | None = None
    keep_alive_s: float | None = None
    wake_s: float = 0.0
    wake_j: float = 0.0
    asleep_power_w: float = 0.0
    pricing_batch: int | None = None

    @classmethod
    def from_config(cls, node: Mapping[str, Any], where: str = "fleet.serving") -> Serving:
        """The settings of a configuration node.

        Raises:
            InputError: unknown keys, wrong types, or values out of range.
        """
        serving = parse(cls, node, where)
        serving.check(where)
        return serving

    def check(self, where: str = "fleet.serving") -> None:
        """Raises InputError, naming the setting under `where`, unless all values are in range."""
        for key, known in (
            ("discipline", DISCIPLINES),
            ("dispatcher", DISPATCHERS),
            ("kv", RESERVATIONS),
            ("first", ORDERS),
        ):
            value = getattr(self, key)
            if value is not None and value not in known:
                raise InputError(f"{where}.{key}={value}: {did_you_mean(value, known, key)}")
        for key in ("max_batch", "chunk_tokens", "pricing_batch"):
            count = getattr(self, key)
            if count is not None and count < 1:
                raise InputError(f"{where}.{key}={count}: must be at least 1.")
        for key in ("batch_wait_s", "longest_wait_s", "keep_alive_s", "wake_s", "wake_j", "asleep_power_w"):
            value = getattr(self, key)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{where}.{key}={value}: must be a finite number of at least 0.")
        if not 0 < self.memory_fraction <= 1:
            raise InputError(
                f"{where}.memory_fraction={self.memory_fraction}: must be above 0 and at most 1."
            )

    @property
    def sleeps_after_s(self) -> float:
        """Seconds for which an instance is idle before it sleeps; infinity: it never does."""
        return math.inf if self.keep_alive_s is None else self.keep_alive_s

    @property
    def prefill_after_s(self) -> float:
        """How long running queries may keep a waiting one from being prefilled."""
        if self.first == "prefill":
            return 0.0
        return math.inf if self.longest_wait_s is None else self.longest_wait_s
