"""What a run has found, on a terminal: the head of the report in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bmem.reports.page import Headline, Page

_MOST_WARNINGS = 8
"""More than these are in the report."""


def summary_text(page: Page, where: str = "") -> str:
    """Estimates with errors, intervals and budgets, the verdict of the calibration and warnings; ``where`` the report is."""
    lines = [page.title]
    for headline in page.headlines:
        lines += ["", *_headline(headline)]
    lines += ["", page.verdict] if page.verdict else []
    lines += ["", *_warnings([warning.text for warning in page.warnings])] if page.warnings else []
    lines += ["", f"report: {where}"] if where else []
    return "\n".join(lines)


def _headline(headline: Headline) -> Iterator[str]:
    yield f"{headline.quantity} = {headline.value}"
    rows = [*headline.intervals, *(("error, " + source, error) for source, error in headline.budget)]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        yield f"  {name:<{width}}  {value}"
    if headline.remark:
        yield f"  {headline.remark}"


def _warnings(warnings: Sequence[str]) -> Iterator[str]:
    yield "Warnings"
    yield from (f"  - {text}" for text in warnings[:_MOST_WARNINGS])
    if len(warnings) > _MOST_WARNINGS:
        yield f"  - {len(warnings) - _MOST_WARNINGS} more in the report"
