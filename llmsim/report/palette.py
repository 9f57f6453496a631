"""One colour for a deployment wherever it is drawn, apart also for the colour-blind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llmsim.report.sheet import Row, policy_label

# From Okabe and Ito (2008) and Tol (2021): told apart by deutan and protan readers, and in grey by order.
DEPLOYMENTS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#882255", "#999933", "#D55E00")
OTHERS = "#A3A8B0"
IDLE = "#CBD0D6"
POLICY = "#15181C"
BASELINE = "#6B7280"
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1, 1.5), (7, 2, 1, 2), (3, 1, 1, 1, 1, 1))

OTHERS_NAME = "others"


@dataclass(frozen=True)
class Stroke:
    """How a policy's line is drawn: its colour, and lengths of dashes and gaps (none: solid)."""

    colour: str
    dashes: tuple[float, ...]


@dataclass(frozen=True)
class Palette:
    """Colours of a run.

    Attributes:
        shown: deployments that have a colour of their own, in drawing order; `others` last, if any are.
        deployments: all of them.
        colours: deployment to colour, for those that have one.
        strokes: policy and baseline labels to how their lines are drawn.
    """

    shown: tuple[str, ...]
    deployments: tuple[str, ...]
    colours: Mapping[str, str]
    strokes: Mapping[str, Stroke]

    def group(self, deployment: str) -> str:
        """The name under which a deployment is drawn: its own, or `others`."""
        return deployment if deployment in self.shown else OTHERS_NAME

    def colour(self, name: str) -> str:
        """The colour of a deployment, or of `others`."""
        return self.colours.get(name, OTHERS)


def make_palette(summary: Row) -> Palette:
    """Colours for the deployments and policies of a summary.

    With more deployments than colours, those that use the least active energy over all rows are drawn
    together.
    """
    found: dict[str, float] = {}
    for row in [summary, *summary.get("baselines", {}).values()]:
        for name, part in row.get("deployments", {}).items():
            found[name] = found.get(name, 0.0) + (part.get("energy_active_j") or 0.0)
    shown = _largest(found)
    colours = dict(zip(shown, DEPLOYMENTS, strict=False))
    rest = () if len(shown) == len(found) else (OTHERS_NAME,)
    return Palette((*shown, *rest), tuple(found), colours, _strokes(summary, found, colours))


def single_model(label: str, deployments: Iterable[str]) -> str | None:
    """The deployment that a baseline sends everything to, or None for one that mixes."""
    name = label.removeprefix("only ")
    return name if name != label and name in set(deployments) else None


def _largest(found: Mapping[str, float]) -> Sequence[str]:
    if len(found) <= len(DEPLOYMENTS):
        return tuple(found)
    ordered = sorted(found, key=lambda name: (-found[name], name))
    kept = set(ordered[: len(DEPLOYMENTS)])
    return tuple(name for name in found if name in kept)


def _strokes(summary: Row, deployments: Iterable[str], colours: Mapping[str, str]) -> dict[str, Stroke]:
    names = set(deployments)
    strokes = {policy_label(summary): Stroke(POLICY, ())}
    mixed = 0
    for label in summary.get("baselines", {}):
        single = single_model(label, names)
        if single is None:
            strokes[label] = Stroke(BASELINE, DASHES[mixed % len(DASHES)])
            mixed += 1
        else:
            strokes[label] = Stroke(colours.get(single, OTHERS), ())
    return strokes
