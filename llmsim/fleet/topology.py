"""Where instances stand, and what the network between them and the router takes.

The fleet is a graph: the router, racks, nodes; links have latency and bandwidth. All devices of an instance
are on one node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmsim.config import parse
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment, Network
from llmsim.fleet.memory import BYTES_PER_GB

if TYPE_CHECKING:
    import networkx as nx

ROUTER = "router"


@dataclass(frozen=True)
class TopologySpec:
    """The `topology` part of a fleet's configuration: racks of nodes around one router.

    Attributes:
        nodes_per_rack: nodes that share a rack's link to the router.
        rack_latency_s, node_latency_s: one way, from router to rack and from rack to node.
        rack_bandwidth_gb_s, node_bandwidth_gb_s: of these links, decimal GB/s.
        bytes_per_token: of a prompt or answer on the network.
    """

    nodes_per_rack: int = 8
    rack_latency_s: float = 1e-4
    node_latency_s: float = 5e-5
    rack_bandwidth_gb_s: float = 12.5
    node_bandwidth_gb_s: float = 12.5
    bytes_per_token: float = 4.0

    @classmethod
    def from_config(cls, node: Mapping[str, Any], where: str = "fleet.topology") -> TopologySpec:
        """The topology of a configuration node.

        Raises:
            InputError: unknown keys, wrong types, or values out of range.
        """
        spec = parse(cls, node, where)
        if spec.nodes_per_rack < 1:
            raise InputError(f"{where}.nodes_per_rack={spec.nodes_per_rack}: must be at least 1.")
        for key in ("rack_latency_s", "node_latency_s", "bytes_per_token"):
            value = getattr(spec, key)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{where}.{key}={value}: must be a finite number of at least 0.")
        for key in ("rack_bandwidth_gb_s", "node_bandwidth_gb_s"):
            value = getattr(spec, key)
            if not value > 0:
                raise InputError(f"{where}.{key}={value}: must be above 0.")
        return spec


def build_graph(spec: TopologySpec, deployments: Sequence[Deployment]) -> nx.Graph:
    """The fleet as a graph.

    Nodes have `kind` (router, rack or node); a node has `hardware` and `instances`, a list of (deployment
    index, instance). Edges have `latency_s` and `bandwidth_gb_s`.

    Raises:
        InputError: an instance has more devices than a node.
    """
    import networkx as nx

    graph = nx.Graph()
    graph.add_node(ROUTER, kind="router")
    racks: list[str] = []
    for name, hardware_nodes in _placed(deployments).items():
        for number, instances in enumerate(hardware_nodes):
            if number % spec.nodes_per_rack == 0:
                racks.append(f"rack {len(racks)}")
                graph.add_node(racks[-1], kind="rack")
                graph.add_edge(
                    ROUTER,
                    racks[-1],
                    latency_s=spec.rack_latency_s,
                    bandwidth_gb_s=spec.rack_bandwidth_gb_s,
                )
            node = f"{name} {number}"
            graph.add_node(node, kind="node", hardware=name, instances=instances)
            graph.add_edge(
                racks[-1], node, latency_s=spec.node_latency_s, bandwidth_gb_s=spec.node_bandwidth_gb_s
            )
    return graph


def connect(
    graph: nx.Graph, deployments: Sequence[Deployment], bytes_per_token: float
) -> tuple[Deployment, ...]:
    """The deployments with the network time of each instance, along the path of least latency.

    Raises:
        InputError: an instance is on no node of the graph, or on one that the router does not reach.
    """
    import networkx as nx

    latency_s, paths = nx.single_source_dijkstra(graph, ROUTER, weight="latency_s")
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for node, instances in graph.nodes(data="instances"):
        for place in instances or ():
            if node not in paths:
                raise InputError(f"The topology has no path from the router to {node}.")
            links = [graph.edges[link]["bandwidth_gb_s"] for link in nx.utils.pairwise(paths[node])]
            seconds = bytes_per_token / (min(links) * BYTES_PER_GB) if links else 0.0
            found[place] = (latency_s[node], seconds)
    connected = []
    for index, item in enumerate(deployments):
        places = [(index, instance) for instance in range(item.instances)]
        lost = [place for place in places if place not in found]
        if lost:
            raise InputError(f"Instance {lost[0][1]} of {item.name} is on no node of the topology.")
        network = Network(
            tuple(found[place][0] for place in places), tuple(found[place][1] for place in places)
        )
        connected.append(replace(item, network=network))
    return tuple(connected)


def _placed(deployments: Sequence[Deployment]) -> dict[str, list[list[tuple[int, int]]]]:
    """Nodes of each hardware, each a list of (deployment, instance): the first node with room takes it."""
    nodes: dict[str, list[list[tuple[int, int]]]] = {}
    room: dict[str, int] = {}  # free devices of the newest node of each hardware
    for index, item in enumerate(deployments):
        hardware, needed = item.target.hardware, item.target.n_devices
        if needed > hardware.devices_per_node:
            raise InputError(
                f"{item.name}: an instance of {needed} devices does not fit a node of "
                f"{hardware.devices_per_node} ({hardware.name}). Set fleet.devices_per_instance."
            )
        mine = nodes.setdefault(hardware.name, [])
        for instance in range(item.instances):
            if room.get(hardware.name, 0) < needed:
                mine.append([])
                room[hardware.name] = hardware.devices_per_node
            mine[-1].append((index, instance))
            room[hardware.name] -= needed
    return nodes
