"""The rooms that serve every channel speak of none: code, docstrings, comments and strings are searched for its words.

What some files still say is in ``OWED``, which only gets shorter: one that has become clean must be taken out of it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bmem"
APPLICATION = r"thj(?!son)|higgs|yukawa|diphoton|(?<![a-z])alphas?(?![a-z])|α|\btop[ -](quark|mass|boson)|kappa|κ"
OBJECTS = r"photon|(?<![a-z])(b-?)?jets?(?![a-z])"
SPEAKS_OF_A_PROCESS = {"channels", "process"}
SPEAKS_OF_OBJECTS = SPEAKS_OF_A_PROCESS | {"events", "simulation"}
OPACITY = re.compile(r"""\balpha=|"alpha":""")
"""What matplotlib calls the opacity of a colour."""
EXEMPT = {"console.py": "spells letters out", "measurement/format1.py": "reads the names of earlier files"}
OWED: set[str] = set()
"""Files that are not clean yet."""


def said(path: Path) -> list[str]:
    """The lines of a file with words that its room must not say."""
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    words = [w for w, rooms in ((APPLICATION, SPEAKS_OF_A_PROCESS), (OBJECTS, SPEAKS_OF_OBJECTS)) if room not in rooms]
    if not words or path.relative_to(PACKAGE).as_posix() in EXEMPT:
        return []
    pattern = re.compile("|".join(words), re.IGNORECASE)
    lines = path.read_text(encoding="utf-8").splitlines()
    if room == "plotting":
        lines = [OPACITY.sub("", line) for line in lines]
    return [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if pattern.search(line)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_channels_speak_of_their_process(path: Path) -> None:
    found = said(path)
    if path.relative_to(PACKAGE).as_posix() in OWED:
        assert found, "clean now: take it out of OWED"
    else:
        assert found == []
