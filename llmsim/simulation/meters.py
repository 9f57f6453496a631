"""Seconds and joules of the instances of one deployment, by what they were doing."""

from __future__ import annotations

from array import array


class Meters:
    """One entry an instance in each column.

    Attributes:
        deployment: whose instances these are.
        idle_since_s: when an instance that has nothing to do last had; kept only where instances sleep.
        serve_s, prefill_s, decode_s, wake_s, asleep_s: seconds so spent; the rest is idle.
        serve_j, prefill_j, decode_j, wake_j: joules of them.
    """

    __slots__ = (
        "asleep_s",
        "decode_j",
        "decode_s",
        "deployment",
        "idle_since_s",
        "instances",
        "prefill_j",
        "prefill_s",
        "serve_j",
        "serve_s",
        "wake_j",
        "wake_s",
    )

    def __init__(self, instances: int, deployment: int = 0, start_s: float = 0.0) -> None:
        self.deployment = deployment
        self.instances = instances
        nothing = bytes(8 * instances)
        self.serve_s, self.serve_j = array("d", nothing), array("d", nothing)
        self.prefill_s, self.prefill_j = array("d", nothing), array("d", nothing)
        self.decode_s, self.decode_j = array("d", nothing), array("d", nothing)
        self.wake_s, self.wake_j = array("d", nothing), array("d", nothing)
        self.asleep_s = array("d", nothing)
        self.idle_since_s = array("d", [start_s]) * instances
