"""Names have one meaning each, so that ``from bmem.room import name`` says whether a module or a function comes."""

import ast
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bmem"
MODULES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def public(tree: ast.Module, *kinds: type[ast.stmt]) -> list[str]:
    """Names of the definitions at the top of a module."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and isinstance(node, kinds)]
    return [node.name for node in found if not node.name.startswith("_")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_function_is_named_as_its_module(path: Path) -> None:
    name = path.parent.name if path.name == "__init__.py" else path.stem
    assert name not in public(MODULES[path], ast.FunctionDef)


def test_every_public_class_has_a_name_of_its_own() -> None:
    counted = Counter(name for tree in MODULES.values() for name in public(tree, ast.ClassDef))
    assert [name for name, times in counted.items() if times > 1] == []
