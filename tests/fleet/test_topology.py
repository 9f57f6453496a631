"""Racks, nodes and links, and the time they add to a query."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.simulator import Simulator
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import price
from llmsim.fleet.serving import Serving
from llmsim.fleet.topology import ROUTER, TopologySpec, build_graph, connect
from llmsim.simulation.driver import follow, play
from llmsim.specs.target import Target
from tests import builders
from tests.synthetic_phase import synthetic_phase

SPEC = TopologySpec(
    nodes_per_rack=2,
    rack_latency_s=0.25,
    node_latency_s=0.125,
    rack_bandwidth_gb_s=4e-9,  # four bytes a second: a token takes one
    node_bandwidth_gb_s=1.0,
)


def deployment(n_devices, instances, discipline="continuous", dispatcher=None):
    hardware = builders.hardware(devices_per_node=4)
    target = Target(builders.model(), hardware, n_devices, "bf16", True, 8)
    serving = Serving(dispatcher=dispatcher)
    return Deployment("d", target, synthetic_phase(), discipline, instances, 1.0, {}, serving)


def test_an_instance_is_on_one_node_and_nodes_fill_up():
    graph = build_graph(SPEC, [deployment(3, 2), deployment(1, 3)])
    nodes = {name: data["instances"] for name, data in graph.nodes(data=True) if data["kind"] == "node"}
    assert nodes == {
        "box 0": [(0, 0)],
        "box 1": [(0, 1), (1, 0)],
        "box 2": [(1, 1), (1, 2)],
    }
    assert nx.is_tree(graph)
    assert sum(kind == "rack" for _, kind in graph.nodes(data="kind")) == 2


def test_an_instance_larger_than_a_node_is_refused():
    with pytest.raises(InputError, match="an instance of 5 devices does not fit a node of 4"):
        build_graph(SPEC, [deployment(5, 1)])


def test_a_node_that_the_router_does_not_reach_is_refused():
    graph = build_graph(SPEC, [deployment(1, 1)])
    graph.remove_edge(ROUTER, "rack 0")
    with pytest.raises(InputError, match="no path from the router"):
        connect(graph, [deployment(1, 1)], 4.0)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["serial", "static", "continuous"]),
    st.sampled_from(["shared", "round_robin"]),
)
def test_the_network_adds_its_time_to_a_query_alone(seed, discipline, dispatcher):
    """Queries so far apart that none waits: each is later by the way there and back, and by nothing else."""
    rng = np.random.default_rng(seed)
    item = deployment(1, 3, discipline, dispatcher)
    far = connect(build_graph(SPEC, [item]), [item], 4.0)[0]
    workload = builders.queries(rng.integers(1, 50, 6), rng.integers(1, 9, 6), 1000.0 * np.arange(6))
    near_ledger, far_ledger = (
        play(workload, [Simulator().open(one)], price(workload, [one]), follow(np.zeros(6, np.int64)))
        for one in (item, far)
    )
    there_s, back_s = 0.375 + workload.tau_in, 0.375 + 1.0
    assert far_ledger.start_s == pytest.approx(near_ledger.start_s + there_s)
    assert far_ledger.first_token_s == pytest.approx(near_ledger.first_token_s + there_s + back_s)
    assert far_ledger.end_s == pytest.approx(near_ledger.end_s + there_s + back_s)
    assert far_ledger.network_s == pytest.approx(there_s + back_s)
    assert far_ledger.energy_j == pytest.approx(near_ledger.energy_j)


def test_every_query_is_served_once_over_a_network():
    rng = np.random.default_rng(3)
    n = 300
    workload = builders.queries(
        rng.integers(1, 50, n), rng.integers(1, 30, n), np.cumsum(rng.exponential(0.01, n))
    )
    for dispatcher in ("shared", "join_shortest"):
        item = replace(deployment(1, 3, "continuous", dispatcher))
        spec = replace(SPEC, rack_bandwidth_gb_s=1e-6)
        far = connect(build_graph(spec, [item]), [item], 4.0)[0]
        ledger = play(
            workload, [Simulator().open(far)], price(workload, [far]), follow(np.zeros(n, np.int64))
        )
        assert not np.isnan(ledger.end_s).any()
        there_s = 0.375 + 0.004 * workload.tau_in
        assert (ledger.start_s >= ledger.arrival_s + there_s - 1e-9).all()


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        ({"nodes_per_rack": 0}, "nodes_per_rack=0: must be at least 1"),
        ({"rack_latency_s": -1.0}, "rack_latency_s=-1.0"),
        ({"node_bandwidth_gb_s": 0.0}, "node_bandwidth_gb_s=0.0: must be above 0"),
        ({"latency": 1.0}, "no such setting"),
    ],
)
def test_a_topology_that_cannot_be_is_refused(node, complaint):
    with pytest.raises(InputError, match=complaint):
        TopologySpec.from_config(node)
