"""The instances of a deployment, set up as its discipline says."""

from __future__ import annotations

from typing import Protocol

from llmsim.backends.contract import Engine, PhaseEngine, StepEngine
from llmsim.backends.phase import PhaseCosts
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.simulation.batches import BatchHall, BatchStation, Forming
from llmsim.simulation.continuous_station import ContinuousStation
from llmsim.simulation.dispatch import dispatcher
from llmsim.simulation.doze import Doze, PowerStates
from llmsim.simulation.floor import Floor
from llmsim.simulation.hall import Hall
from llmsim.simulation.limits import UNLIMITED_BLOCKS, Limits
from llmsim.simulation.meters import Meters


class Station(Protocol):
    """The instances of one deployment."""

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        ...

    @property
    def present(self) -> int:
        """Queries that have come and not yet left."""
        ...


def open_station(deployment: Deployment, engine: Engine, floor: Floor, meters: Meters) -> Station:
    """The station of a deployment.

    Raises:
        InputError: the discipline is unknown, or needs phase curves where there are none.
    """
    serving = deployment.serving
    states = power_states(deployment)
    doze = None if states is None else Doze(states, meters, floor.tape)
    if deployment.discipline in ("serial", "static", "thesis_script"):
        forming = Forming(deployment.max_batch, serving.batch_wait_s)
        shared = deployment.dispatcher == "shared"
        chooser = None if shared else dispatcher(deployment.dispatcher, deployment.instances)
        in_order = deployment.discipline == "thesis_script"
        batch_hall = BatchHall(floor, engine, forming, meters, doze, chooser, deployment.network, in_order)
        return BatchStation(batch_hall)
    if deployment.discipline != "continuous":
        raise InputError(
            f"{deployment.name}: discipline '{deployment.discipline}' is not known. "
            "Known: continuous, serial, static, thesis_script."
        )
    if isinstance(engine, StepEngine):
        costs: PhaseCosts | StepEngine = engine
    elif isinstance(engine, PhaseEngine):
        costs = engine.costs
    else:
        raise InputError(
            f"{deployment.name}: the continuous discipline needs phase curves (prefill and decode apart, "
            "with a KV cache), and its curve is of whole queries. Choose hardware that has them, such as "
            "hardware=a100_80gb, or fleet.serving.discipline=serial."
        )
    hall = Hall(floor, costs, limits_of(deployment), meters, doze)
    return ContinuousStation(hall, deployment.dispatcher, deployment.network)


def limits_of(deployment: Deployment) -> Limits:
    """What an instance of a deployment may hold at once."""
    serving, blocks = deployment.serving, deployment.kv_blocks
    return Limits(
        max_batch=deployment.max_batch,
        kv_blocks=UNLIMITED_BLOCKS if blocks is None else blocks,
        kv=serving.kv,
        window_tokens=deployment.target.model.sliding_window_tokens,
        prefill_after_s=serving.prefill_after_s,
        chunk_tokens=serving.chunk_tokens,
    )


def power_states(deployment: Deployment) -> PowerStates | None:
    """The keep-alive rule of a deployment, or None where instances are always on."""
    serving = deployment.serving
    if serving.keep_alive_s is None:
        return None
    return PowerStates(serving.keep_alive_s, serving.wake_s, serving.wake_j, serving.asleep_power_w)
