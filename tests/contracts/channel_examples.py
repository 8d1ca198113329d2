"""The channels that the contract test runs over: what bmem brings, and the one of the guide."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "own_process.md"


def source_of_the_guide() -> str:
    """The module ``asymmetry`` as it stands in the guide."""
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]


def import_the_guide() -> None:
    """Make ``asymmetry`` importable."""
    if "asymmetry" not in sys.modules:
        module = ModuleType("asymmetry")
        sys.modules["asymmetry"] = module
        exec(compile(source_of_the_guide(), str(PAGE), "exec"), module.__dict__)


import_the_guide()
SECTIONS: dict[str, dict[str, Any]] = {
    "thj": {"name": "thj"},
    "thj with other cuts": {"name": "thj", "sqrt_s": 14_000.0, "selection": {"jet_pt": 30.0}},
    "thj objects": {"name": "thj", "observation": "objects", "selection": {"min_jets": 3}},
    "toy": {"name": "toy", "efficiency": 0.8},
    "guide": {"name": "asymmetry:Asymmetry", "smearing": 0.1},
}
"""Sections ``[channel]`` by the name of the case."""
NETWORKS: dict[str, dict[str, Any]] = {
    "thj objects": {
        "transfer": {"kind": "transfermer", "width": 8, "heads": 2, "blocks": 1, "hidden": 8, "layers": 1, "bins": 4},
        "proposal": {"kind": "set_coupling", "blocks": 2, "hidden": 16, "layers": 1, "width": 8, "heads": 2},
    },
}
"""Networks that read what is observed, tiny, where it is not the numbers that the usual ones read."""
