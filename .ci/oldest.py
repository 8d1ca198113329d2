"""Constraints for pip, printed: of every dependency in pyproject.toml the oldest version that is allowed."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"].values()
for requirement in [*project["dependencies"], *(entry for extra in extras for entry in extra)]:
    bound = re.match(r"([\w.-]+)(?:\[.*\])?>=([\d.]+)", requirement)
    if bound:
        print(f"{bound[1]}=={bound[2]}")
