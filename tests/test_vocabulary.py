"""The rooms that serve every channel speak of none: code, docstrings, comments and strings are searched for its words.

What some files still say is in ``OWED``, which only gets shorter: one that has become clean must be taken out of it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bmem"
APPLICATION = r"thj|higgs|yukawa|diphoton|(?<![a-z])alphas?(?![a-z])|α|\btop[ -](quark|mass|boson)|kappa|κ"
OBJECTS = r"photon|(?<![a-z])(b-?)?jets?(?![a-z])"
SPEAKS_OF_A_PROCESS = {"channels", "process"}
SPEAKS_OF_OBJECTS = SPEAKS_OF_A_PROCESS | {"events", "simulation"}
OWED = {
    "cli.py",
    "events/importing.py",
    "events/lhe.py",
    "events/lhe_checks.py",
    "events/lhe_format.py",
    "events/observed.py",
    "inference/combine.py",
    "inference/fit.py",
    "inference/nuisance.py",
    "inference/posterior.py",
    "plotting/belt.py",
    "plotting/budget.py",
    "plotting/calibration.py",
    "plotting/contours.py",
    "plotting/coverage.py",
    "plotting/density.py",
    "plotting/event_display.py",
    "plotting/goodness.py",
    "plotting/histogram.py",
    "plotting/influence.py",
    "plotting/likelihood.py",
    "plotting/posterior.py",
    "plotting/power.py",
    "plotting/quantity.py",
    "plotting/report.py",
    "plotting/transfer.py",
    "stages/figures.py",
    "stages/hypotheses.py",
    "stages/imports.py",
    "stages/parameter_report.py",
    "stages/period.py",
    "stages/period_report.py",
    "stages/pilot.py",
    "stages/prospects.py",
    "stages/prospects_report.py",
    "stages/report.py",
    "stages/scrutiny.py",
}
"""Files that are not clean yet."""


def said(path: Path) -> list[str]:
    """The lines of a file with words that its room must not say."""
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    words = [w for w, rooms in ((APPLICATION, SPEAKS_OF_A_PROCESS), (OBJECTS, SPEAKS_OF_OBJECTS)) if room not in rooms]
    if not words:
        return []
    pattern = re.compile("|".join(words), re.IGNORECASE)
    lines = path.read_text(encoding="utf-8").splitlines()
    return [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if pattern.search(line)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_channels_speak_of_their_process(path: Path) -> None:
    found = said(path)
    if path.relative_to(PACKAGE).as_posix() in OWED:
        assert found, "clean now: take it out of OWED"
    else:
        assert found == []
