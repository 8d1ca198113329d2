"""Imports go only downwards: every import statement in bmem, in-function ones too, is held against the levels."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bmem"
LEVELS = [
    {"rng", "errors", "units", "quantity", "pareto", "lazy", "console", "wording"},
    {"kinematics", "workers", "terminal", "devices"},
    {"artifacts"},
    {"training"},
    {"transforms", "events", "replicas"},
    {"process", "networks", "integration"},
    {"simulation", "likelihood"},
    {"inference"},
    {"calibration", "channels"},
    {"config"},
    {"plotting", "keys"},
    {"measurement", "schema"},
    {"reports", "chain", "results"},
    {"stages"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
OPTIONAL = {"uproot", "vegas", "dask", "distributed", "mplhep", "pythia8mc", "yaml"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str | None:
    """The top-level part of bmem that a dotted name belongs to; None for other packages and for bmem itself."""
    names = module.split(".")
    return names[1] if names[0] == "bmem" and len(names) > 1 else None


def imported_modules(tree: ast.AST) -> list[tuple[str, bool]]:
    """(dotted name, whether at module level) of every import."""
    found = []
    top = set(ast.iter_child_nodes(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the level they reach for"
            if node.module == "bmem":
                found += [(f"bmem.{alias.name}", node in top) for alias in node.names]
            else:
                found.append((node.module or "", node in top))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_only_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if own == "__init__":
        return
    assert own in LEVEL, f"{own} has no level: add it to LEVELS"
    for name, at_top in imported_modules(ast.parse(path.read_text())):
        package = name.split(".")[0]
        assert package not in OPTIONAL or not at_top, f"{name} is optional: import it inside the function that needs it"
        assert package != "pyro" or own == "replicas", "only replicas/ imports Pyro"
        part = part_of(name)
        if part in (None, own, "__version__"):
            continue
        assert LEVEL[part] < LEVEL[own], f"{own} (level {LEVEL[own]}) imports {part} (level {LEVEL[part]})"
