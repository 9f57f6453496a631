"""Queries: from shipped traces, from the user's files, or drawn at random."""

from llmsim.workload.queries import Queries
from llmsim.workload.scores import check_scored
from llmsim.workload.settings import Workload, load
from llmsim.workload.synthetic import Lengths, synthetic
from llmsim.workload.trace import read_trace

__all__ = ["Lengths", "Queries", "Workload", "check_scored", "load", "read_trace", "synthetic"]
