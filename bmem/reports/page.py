"""One HTML page with everything that was found: numbers, tables, figures, configuration, provenance."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from bmem.artifacts import atomic_path
from bmem.errors import ArtifactError, InputError
from bmem.reports.formulas import plain, typeset

_IMAGES = {".png": "image/png", ".svg": "image/svg+xml"}
_NUMERIC = re.compile(
    r"[–∞]|[−+]?\d[\d\u202f.]*( × 10[⁻⁰¹²³⁴-⁹]+)?( ± [\d.]+| \(−[\d.]+ \+[\d.]+\)| of \d+( events)?)?( ?[%°])?"
)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Table:
    """``rows`` of as many plain values as there are ``columns``.

    Numbers are printed with at most four digits, or with as many as ``digits`` tells of their column.

    Raises:
        InputError: a row has another length than the head.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""
    digits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(f"table {self.title!r}: row {number} has {len(row)} values for {len(self.columns)} columns")


@dataclass(frozen=True)
class Picture:
    """A figure file, PNG or SVG, its ``caption``, and where the page finds it as PDF ("" without).

    One that is ``wide`` takes the width of the page, others that of a column.
    """

    path: Path
    caption: str
    pdf: str = ""
    wide: bool = False

    @property
    def data_uri(self) -> str:
        """The file inside a data URI.

        Raises:
            ArtifactError: there is no such file, or it is neither PNG nor SVG.
        """
        path = Path(self.path)
        if path.suffix not in _IMAGES or not path.is_file():
            raise ArtifactError(f"{path}: the report needs an existing .png or .svg file; draw the figure first")
        return f"data:{_IMAGES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


@dataclass(frozen=True)
class Headline:
    """The result in large print.

    ``quantity`` ("θ of sample data"), ``value`` ("44.1° ± 5.0°"), ``intervals`` (("68.3 %", "[39.2°, 49.3°]"), ...) and the
    uncertainty ``budget`` (("statistics", "4.9°"), ("integration", "0.6°"), ...).
    """

    quantity: str
    value: str
    intervals: tuple[tuple[str, str], ...] = ()
    budget: tuple[tuple[str, str], ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Caution:
    """A sentence on a number that should not be trusted as it stands, and the title of the ``chapter`` that tells more."""

    text: str
    chapter: str = ""


@dataclass(frozen=True)
class Chapter:
    """A chapter of the page: a ``title``, a paragraph of ``text``, then its tables and figures.

    Texts, tables and captions may have formulas, in TeX between dollars.
    """

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Page:
    """What ``write_page`` prints; whatever is left empty is left out of the page.

    ``made`` says when, by what and on which machine; ``verdict`` whether the calibration was passed; ``configuration`` is
    the TOML text; ``provenance`` maps names (versions, seed, checksums) to values.
    """

    title: str
    subtitle: str = ""
    made: str = ""
    headlines: tuple[Headline, ...] = ()
    verdict: str = ""
    warnings: tuple[Caution, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    configuration: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_page(path: Path, page: Page) -> None:
    """Write ``page`` as one HTML file that needs nothing else.

    Raises:
        ArtifactError: a figure is missing, or the file cannot be written.
    """
    text = render(page)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(page: Page) -> str:
    """The HTML page of ``page``."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    environment.filters["typeset"] = typeset
    environment.filters["plain"] = plain
    environment.tests["numeric"] = _is_numeric
    template = environment.from_string((files("bmem.reports") / "page.html").read_text(encoding="utf-8"))
    return template.render(page=page)


def shown(value: Any, digits: int | None = None) -> str:
    """``value`` as it stands in a table: integers grouped, floats with so many digits or at most four, yes and no."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace(",", "\u202f").replace("-", "\u2212")
    if isinstance(value, Real):
        return _float_shown(float(value), digits)
    return str(value)


def _float_shown(value: float, digits: int | None) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    text = f"{value:.4g}" if digits is None else f"{value:#.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    power = f" × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}" if exponent else ""
    return mantissa.rstrip(".").replace("-", "\u2212") + power


def _is_numeric(value: Any) -> bool:
    """Whether a cell holds a number, with an error and a unit perhaps: its column is aligned to the right."""
    return bool(_NUMERIC.fullmatch(shown(value))) and not isinstance(value, bool)
