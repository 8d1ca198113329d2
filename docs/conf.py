"""Sphinx configuration."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import configuration_keys

import bmem

project = "bmem"
author = "the bmem developers"
copyright = "2026, the bmem developers"
version = release = bmem.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "mathml"]
html_math_renderer = "mathml"
nb_execution_mode = "off"  # the notebooks come with their output; the tests execute them
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "bmem"
html_static_path = []
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {name: name for name in ("Array", "IntArray", "BoolArray", "ArrayLike", "Pieces", "Panels", "Curve")}
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
python_maximum_signature_line_length = 100
exclude_patterns = ["_build", "**.ipynb_checkpoints"]


def insert_configuration_keys(app: Any, docname: str, source: list[str]) -> None:
    """Put the table of all keys where a page asks for it."""
    if configuration_keys.PLACEHOLDER in source[0]:
        source[0] = source[0].replace(configuration_keys.PLACEHOLDER, configuration_keys.markdown())


def escape_bars(*event: Any) -> None:
    """Docstrings write |M|² and log|dy/dx|, which reStructuredText would take for substitutions."""
    lines: list[str] = event[-1]
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        lines[i] = "".join(part if part.startswith("``") else part.replace("|", "\\|") for part in parts)


def setup(app: Any) -> None:
    """Register the hooks."""
    app.connect("source-read", insert_configuration_keys)
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
