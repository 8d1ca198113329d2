"""The report is one valid page that holds everything given, nothing that was not, and no reference to other files."""

import base64
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from bmem.errors import ArtifactError, InputError
from bmem.plotting.style import new_figure, save
from bmem.reports.page import Caution, Chapter, Headline, Page, Picture, Table, render, shown, write_page

VOID = {"meta", "img", "br"}


class Parsed(HTMLParser):
    """Checks that tags are balanced; collects text, images and the numbers of tags."""

    def __init__(self, source):
        super().__init__()
        self.open: list[Any] = []
        self.text, self.images, self.links, self.tags, self.ids = [], [], [], [], []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.ids.append(attributes.get("id"))
        if tag == "img":
            self.images.append(attributes)
        if "href" in attributes:
            self.links.append(attributes["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data.strip())


@pytest.fixture
def figure(tmp_path):
    drawing, axes = new_figure()
    axes.plot([0, 1], [0, 1])
    return Picture(save(drawing, tmp_path / "figure")[1], "A line & its caption", "figures/figure.pdf")


@pytest.fixture
def report(figure):
    table = Table("Cut flow", ("step", "events"), (("b-tag <25 GeV>", 127_234), ("none", 0)), note="of 600 000")
    return Page(
        title="CP phase of the top",
        subtitle="quickstart",
        headlines=(Headline("α", "44.1° ± 5.0°", (("68.3 %", "[39°, 49°]"),), (("statistics", "4.9°"),), "sign unknown"),),
        verdict="Calibration passed.",
        made="1 May 2026 · bmem 1.0",
        warnings=(Caution("12 events have k > 0.7.", "Figures"), Caution("Beware.")),
        chapters=(Chapter("Events", "Some text.", (table,)), Chapter("Figures", figures=(figure,))),
        configuration='[process]\nname = "thj"',
        provenance={"seed": 17, "events.parquet": "ab" * 32},
    )


def test_everything_given_is_on_the_page(report, tmp_path):
    write_page(tmp_path / "report.html", report)
    page = Parsed((tmp_path / "report.html").read_text(encoding="utf-8"))
    text = "\n".join(page.text)
    from_head = (
        report.title,
        report.subtitle,
        "44.1° ± 5.0°",
        "[39°, 49°]",
        "statistics",
        "sign unknown",
        report.warnings[0].text,
        report.made,
    )
    from_body = (
        "Cut flow",
        "b-tag <25 GeV>",
        "127\u202f234",
        "of 600 000",
        "Some text.",
        "A line & its caption",
        "Calibration passed.",
    )
    for expected in (*from_head, *from_body, 'name = "thj"', "17", "ab" * 32):
        assert expected in text
    assert page.tags.count("tr") == 3 + 2


def test_the_page_needs_no_other_file(report, figure):
    page = Parsed(render(report))
    (image,) = page.images
    kind, content = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == figure.path.read_bytes()
    assert image["alt"] == figure.caption
    assert [link for link in page.links if not link.startswith("#")] == ["figures/figure.pdf"], "offered, not needed"
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))
    assert not {"link", "script", "iframe"} & set(page.tags)


@pytest.mark.parametrize("absent", [field.name for field in fields(Page) if field.name != "title"])
def test_what_is_absent_leaves_no_trace(report, absent):
    content = {field.name: getattr(report, field.name) for field in fields(Page) if field.name != absent}
    page = Parsed(render(Page(**content)))
    marks = {"warnings": "Read with care", "configuration": "Configuration", "provenance": "Provenance"}
    if absent in marks:
        assert marks[absent] not in page.text
    assert "None" not in page.text
    assert len(page.tags) < len(Parsed(render(report)).tags)


def test_a_warning_leads_to_its_chapter(report):
    page = Parsed(render(report))
    place = page.text.index("See Figures")
    assert page.text[:place].count("12 events have k > 0.7.") == 1
    assert page.links.count("#section-2") == 2, "one in the list of chapters, one behind the warning"
    assert sum(text.startswith("See ") for text in page.text) == 1, "none without a chapter"


def test_columns_of_numbers_are_aligned_and_rounded_alike():
    """Values with an error, a unit or a total are numbers too; a column of 0.17 and 0.169 used to look like two kinds."""
    cells = ("−0.47 ± 0.19", "5 of 20", "16 %", "81.0 (−1.2 +1.1)", 0.17, "–", "few points", "20 resamples")
    text = render(Page("t", chapters=(Chapter("c", tables=(Table("t", tuple("abcdefgh"), (cells,), digits={"e": 3}),)),)))
    assert re.findall(r'<td class="(\w+)">', text) == ["number"] * 6 + ["short"] * 2
    assert ">0.170<" in text


def test_a_wide_figure_takes_the_page(figure):
    shown = [render(Page("t", chapters=(Chapter("c", figures=(one,)),))) for one in (figure, replace(figure, wide=True))]
    assert ['<figure class="wide">' in text for text in shown] == [False, True]


def test_an_empty_report_is_a_page():
    page = Parsed(render(Page("nothing")))
    assert "h2" not in page.tags
    assert "table" not in page.tags


def test_numbers_as_they_are_shown():
    shapes = {
        1234567: "1\u202f234\u202f567", -12: "\u221212", 0.123456: "0.1235", -1.5: "\u22121.5", 1.3e-7: "1.3 × 10⁻⁷",
        True: "yes", None: "–", "text": "text",
    }  # fmt: skip
    for value, text in shapes.items():
        assert shown(value) == text
    assert shown(float("nan")) == "–"
    assert shown(float("inf")) == "∞"
    assert shown(np.float64(2.5)) == "2.5"
    assert shown(np.int64(1500)) == "1\u202f500"
    assert shown(np.bool_(False)) == "no"


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="row 1 has 1 values for 2 columns"):
        Table("short", ("a", "b"), ((1, 2), (3,)))
    with pytest.raises(ArtifactError, match=r"missing\.png"):
        write_page(
            tmp_path / "r.html", Page("r", chapters=(Chapter("s", figures=(Picture(tmp_path / "missing.png", ""),)),))
        )
    assert not (tmp_path / "r.html").exists()
