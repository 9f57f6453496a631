"""`docs/paper.md`: what the paper found, what its data say, in figures that are worked out and not typed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from llmsim.config import load_config
from llmsim.curves.scores import scores
from llmsim.report.plots import draw_charts
from llmsim.report.study import Study
from llmsim.report.wilkins_markdown import as_markdown
from llmsim.tasks import TASKS
from llmsim.trials import shipped

# The generated parts of the page stand between two such comments; what a person wrote around them stays.
BEGIN = "<!-- {name}: generated from here by python -m llmsim.paper docs/paper.md -->"
END = "<!-- {name}: generated to here -->"
# The studies as the page has them: fewer values than their experiments, at the same number of queries.
STUDIES: Mapping[str, Sequence[str]] = {
    "offline": ("experiment=wilkins_offline", "task.zetas=[0,0.2,0.4,0.6,0.8,1]"),
    "hybrid": ("experiment=wilkins_hybrid", "task.big_host_w=[0,56.25,100,200]"),
    "online": (
        "experiment=wilkins_online", "task.zetas=[0,0.5,0.8,1]", "task.rates=[10,1000]",
        "task.rate_queries=5000",
    ),
}  # fmt: skip
# Of each study's plots the page shows these; drawn by the whole experiment, they would be finer.
PICTURES: Mapping[str, str] = {"offline": "zeta_999", "hybrid": "threshold_alpaca", "online": "zeta"}


def refreshed(text: str, name: str, generated: str) -> str:
    """The page with one generated part replaced.

    Raises:
        ValueError: the page has no such part.
    """
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no part named {name}: expected the line {begin}")
    return f"{before}{begin}\n\n{generated.strip()}\n\n{end}{after}"


def tables() -> str:
    """The thesis's tables and the better forms."""
    trials = shipped()
    models = trials.where(system="swing-a100").distinct("model")
    return as_markdown(list(scores(trials, {("swing-a100", model) for model in models})))


def study(name: str) -> Study:
    """One of the studies, as the page has it."""
    config = load_config(STUDIES[name])
    found: Study = TASKS.build(config.task).run(config)
    return found


def main(path: Path) -> None:
    """Write the page's generated parts and pictures anew."""
    text = refreshed(path.read_text(encoding="utf-8"), "tables", tables())
    for name, picture in PICTURES.items():
        found = study(name)
        text = refreshed(text, name, found.as_markdown())
        with tempfile.TemporaryDirectory() as folder:
            (plot,) = draw_charts({picture: found.charts[picture]}, Path(folder))
            shutil.copy(plot.png, path.parent / "images" / f"paper_{name}.png")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
