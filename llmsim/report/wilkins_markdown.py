"""The thesis' tables, rebuilt beside print, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmsim.curves.wilkins_tables import table_5_1, table_5_1_by_model, table_5_2, table_5_3
from llmsim.report.grid import markdown_table

Record = Mapping[str, Any]


def as_markdown(records: Sequence[Record]) -> str:
    """Tables 5.1 to 5.3 and the better forms beside them.

    Args:
        records: from `llmsim.curves.scores.scores`; those of swing-a100 are shown.
    """
    parts = [_coefficients(), _quality(), _analyses(), _by_model(), _better(records)]
    return "\n\n".join(parts) + "\n"


def _coefficients() -> str:
    lines = [
        (r["model"], r["target"], r["coefficient"], f"{r['ours']:.5g}", r["printed"], r["note"] or "agrees")
        for r in table_5_2()
    ]
    return "### Table 5.2: coefficients of the three-term fits\n\n" + _grid(
        ("model", "target", "coefficient", "ours", "printed", ""), lines
    )


def _quality() -> str:
    lines = [
        (
            r["model"],
            r["target"],
            "with" if r["intercept"] else "without",
            f"{r['r2']:.4f}",
            r["r2_printed"],
            f"{r['f']:.1f}",
            r["f_printed"],
            f"{r['mape_pct']:.0f} %",
            r["note"],
        )
        for r in table_5_3()
    ]
    head = ("model", "target", "intercept", "R2", "printed", "F", "printed", "MAPE in sample", "")
    return "### Table 5.3: R2 and F, each row in the setting it was printed in\n\n" + _grid(head, lines)


def _analyses() -> str:
    lines = [
        (
            r["target"],
            r["sample"],
            r["factor"],
            r["df"],
            f"{r['sum_sq']:.4g}",
            "" if r["f"] is None else f"{r['f']:.2f}",
            "" if r["p"] is None else f"{r['p']:.2g}",
            "" if r["partial_eta2"] is None else f"{r['partial_eta2']:.3f}",
        )
        for r in table_5_1()
    ]
    head = ("target", "sample", "factor", "df", "sum of squares", "F", "p", "partial eta2")
    note = "The text says «all models»; the table is of the three 7B models (print is not shipped)."
    return "### Table 5.1: analyses of variance\n\n" + note + "\n\n" + _grid(head, lines)


def _by_model() -> str:
    lines = [
        (
            r["target"],
            r["model"],
            "log" if r["log"] else "plain",
            f"{r['f']:.1f}",
            f"{r['p']:.2g}",
            f"{r['partial_eta2']:.3f}",
        )
        for r in table_5_1_by_model()
    ]
    head = ("target", "model", "scale", "F", "p", "partial eta2")
    return "### The interaction in each model alone (one degree of freedom)\n\n" + _grid(head, lines)


def _better(records: Sequence[Record]) -> str:
    lines = [
        (
            r["model"],
            r["target"],
            f"**{r['form']}**" if r["chosen"] else r["form"],
            f"{r['loco_mape_pct']:.2f} %",
            f"{r['loco_r2']:.4f}",
            r["negative_predictions"],
        )
        for r in records
        if r["system"] == "swing-a100"
    ]
    head = ("model", "target", "form (used: bold)", "left-out MAPE", "left-out R2", "negative of 4,096")
    return "### Better forms on the measured rows, one cell left out at a time\n\n" + _grid(head, lines)


def _grid(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    return markdown_table(head, [[str(cell) for cell in row] for row in lines])
