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


def play_continuous(queries, predicted, costs, limits, instances, dispatch="join_shortest"):
    """The book, the meters and the clock after serving the queries on one deployment."""
    clock = Clock()
    traffic = Traffic(clock)
    book = open_book(queries, None if predicted is None else np.asarray(predicted, float))
    meters = Meters(instances)
    station = ContinuousStation(Hall(Floor(clock, traffic, book), costs, limits, meters), dispatch)
    traffic.start(book.arrival_s, station.arrive, None)
    clock.run()
    return book, meters, clock
