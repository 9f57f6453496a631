"""`docs/paper.md`: what the paper found, what its data say, in tables that are worked out and not typed."""

from __future__ import annotations

import sys
from pathlib import Path

from llmsim.curves.scores import scores
from llmsim.report.wilkins_markdown import as_markdown
from llmsim.trials import shipped

BEGIN = "<!-- generated from here by python -m llmsim.report.paper_page docs/paper.md -->"
END = "<!-- generated to here -->"


def refreshed(text: str, tables: str) -> str:
    """The page with its generated part replaced; what a person wrote around it stays."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


def main(path: Path) -> None:
    """Write the page's tables anew."""
    trials = shipped()
    models = trials.where(system="swing-a100").distinct("model")
    tables = as_markdown(list(scores(trials, {("swing-a100", model) for model in models})))
    path.write_text(refreshed(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
