"""The figures of a run, one part each; their order is that of columns, notes and plots."""

from llmsim.report.parts.accuracy import AccuracyPart
from llmsim.report.parts.bill import BillPart
from llmsim.report.parts.curves import CurvesPart
from llmsim.report.parts.energy import EnergyPart, StatesPart
from llmsim.report.parts.load import LoadPart
from llmsim.report.parts.negative import NegativePart
from llmsim.report.parts.part import Part
from llmsim.report.parts.priced import PricedPart
from llmsim.report.parts.proof import ProofPart
from llmsim.report.parts.queries import QueriesPart
from llmsim.report.parts.repeated import ReplicationsPart
from llmsim.report.parts.saving import SavingPart
from llmsim.report.parts.service import ServicePart
from llmsim.report.parts.steady import SteadyPart
from llmsim.report.parts.worth import NoLessAccuracyPart, RegretPart

PARTS: tuple[Part, ...] = (
    ProofPart(),
    QueriesPart(),
    NoLessAccuracyPart(),
    EnergyPart(),
    PricedPart(),
    AccuracyPart(),
    SavingPart(),
    RegretPart(),
    ServicePart(),
    LoadPart(),
    SteadyPart(),
    BillPart(),
    ReplicationsPart(),
    StatesPart(),
    NegativePart(),
    CurvesPart(),
)
