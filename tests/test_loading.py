"""Settings are read without the machinery that they are for: no torch, no Pyro, no arviz."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = [
    "bmem.channels",
    "bmem.channels.section",
    "bmem.channels.thj.settings",
    "bmem.channels.toy.settings",
    "bmem.simulation.settings",
    "bmem.integration.settings",
    "bmem.inference.parameters",
    "bmem.quantity",
]
HEAVY = ("torch", "pyro", "arviz", "scipy", "matplotlib", "pythia8mc")
CODE = """
import importlib, sys
importlib.import_module({module!r})
{more}
print([name for name in {heavy!r} if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("module", "more"),
    [*((module, "") for module in LIGHT), ("bmem.channels.section", "sys.modules[{0!r}].ChannelSection(name='toy')")],
)
def test_settings_load_nothing_heavy(module: str, more: str) -> None:
    code = CODE.format(module=module, more=more.format(module), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
