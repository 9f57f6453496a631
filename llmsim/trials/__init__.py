"""The measurement table: one tidy schema for every trial, ours or published."""

from llmsim.trials.read import read, template, write
from llmsim.trials.shipped import shipped
from llmsim.trials.table import Trials

__all__ = ["Trials", "read", "shipped", "template", "write"]
