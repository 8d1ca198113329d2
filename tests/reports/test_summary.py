"""The result on a terminal is the head of the report."""

from bmem.reports.page import Caution, Headline, Page
from bmem.reports.summary import summary_text

HEADLINE = Headline("α̂ of data", "44 −5 +6°", (("68.3 %", "[39.2°, 49.9°]"),), (("statistical", "5°"),), "50 of 250 events")


def test_everything_of_the_head_is_there() -> None:
    page = Page(
        "Measurement of α",
        headlines=(HEADLINE,),
        verdict="No fault found.",
        warnings=(Caution("Few points.", "Integration"),),
    )
    assert summary_text(page, "out/report.html").splitlines() == [
        "Measurement of α",
        "",
        "α̂ of data = 44 −5 +6°",
        "  68.3 %              [39.2°, 49.9°]",
        "  error, statistical  5°",
        "  50 of 250 events",
        "",
        "No fault found.",
        "",
        "Warnings",
        "  - Few points.",
        "",
        "report: out/report.html",
    ]


def test_what_is_not_there_leaves_no_line() -> None:
    assert summary_text(Page("Measurement of α")) == "Measurement of α"


def test_many_warnings_are_counted() -> None:
    lines = summary_text(Page("M", warnings=tuple(Caution(f"{i}.") for i in range(11)))).splitlines()
    assert lines[-2:] == ["  - 7.", "  - 3 more in the report"]
