"""Runs of the continuous discipline on small fleets, for tests."""

from __future__ import annotations

import numpy as np

from llmsim.simulation.book import open_book
from llmsim.simulation.clock import Clock
from llmsim.simulation.continuous_station import ContinuousStation
from llmsim.simulation.floor import Floor
from llmsim.simulation.hall import Hall
from llmsim.simulation.meters import Meters
from llmsim.simulation.traffic import Traffic


def play_continuous(queries, predicted, costs, limits, instances, dispatch="join_shortest", at_arrival=False):
    """The book, the meters and the clock after serving the queries on one deployment.

    Args:
        at_arrival: each query's length is predicted when it arrives, not before.
    """
    clock = Clock()
    traffic = Traffic(clock)
    known = None if predicted is None or at_arrival else np.asarray(predicted, float)
    book = open_book(queries, known)
    book.foreseen = not at_arrival
    meters = Meters(instances)
    station = ContinuousStation(Hall(Floor(clock, traffic, book), costs, limits, meters), dispatch)

    def send(query):
        """A length that is predicted at the arrival is written down then, as a router does."""
        if at_arrival:
            book.predicted[query] = predicted[query]
        station.arrive(query)

    traffic.start(book.arrival_s, send, None)
    clock.run()
    return book, meters, clock
