"""What README and documentation promise is there: commands in the agreed order, links, images, every configuration key."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from scripts import loaded

from bmem.config import load
from bmem.keys import sections

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("guide/*.md"))]
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)|^```\{figure\} (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def configuration_keys() -> ModuleType:
    """The module that makes the table of keys for Sphinx."""
    return loaded(ROOT / "docs" / "configuration_keys.py")


def test_readme_begins_with_a_result_and_the_two_commands() -> None:
    """Continuous integration executes the second block."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks[0] == (
        "bash",
        "pip install '.[pythia]'\nbmem run studies/quickstart/quickstart.toml --out out/quickstart\n",
    )
    assert blocks[1] == ("bash", "pip install -e '.[test]'\npytest\n")
    picture = re.search(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert picture is not None
    assert picture.group(1) == "docs/images/likelihood_alpha45.png"
    assert picture.start() < text.index("pytorch.org") < text.index("```")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_images_exist(page: Path) -> None:
    targets = [first or second for first, second in _LINK.findall(page.read_text(encoding="utf-8"))]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_key_is_in_the_table(configuration_keys: ModuleType) -> None:
    table = configuration_keys.markdown()
    everything = list(sections())
    names = {key.name for section in everything for key in section.keys}
    assert len(names) > 60
    assert [name for name in sorted(names) if f"| `{name}` |" not in table] == []
    assert [section.header for section in everything if f"`{section.header or 'seed'}`" not in table] == []


def test_meanings_come_from_the_code(configuration_keys: ModuleType) -> None:
    table = configuration_keys.markdown()
    assert "| `epochs` | `50` | largest number of passes over the training set. |" in table
    assert "| `jet_threshold` | `5.0` | True jets of smaller pT leave no trace. |" in table
    assert "| `name` | required | name of the sample in files and figures |" in table
    assert "| `luminosity` | not set |" in table


def test_the_placeholder_is_on_the_page(configuration_keys: ModuleType) -> None:
    page = (ROOT / "docs" / "guide" / "configuration.md").read_text(encoding="utf-8")
    assert page.count(configuration_keys.PLACEHOLDER) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_configurations_on_pages_are_valid(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel of one's own is in the first block of its page."""
    text = page.read_text(encoding="utf-8")
    if page.stem == "own_process":
        monkeypatch.syspath_prepend(str(tmp_path))
        first = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
        (tmp_path / "asymmetry.py").write_text(first, encoding="utf-8")
    for i, content in enumerate(re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)):
        path = tmp_path / f"{i}.toml"
        path.write_text(content, encoding="utf-8")
        load(path)
