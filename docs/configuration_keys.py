"""The table of all configuration keys, made from the settings classes themselves so that it cannot be out of date."""

from __future__ import annotations

from bmem.keys import Key, KeySection, sections

PLACEHOLDER = "<!-- configuration keys -->"
"""The line of a page that `markdown` replaces."""


def markdown() -> str:
    """One heading and one table for each settings class, with every section of the file that it configures."""
    titles: dict[type, list[str]] = {}
    tables: dict[type, list[str]] = {}
    for section in sections():
        titles.setdefault(section.kind, []).append(f"`{section.header}`" if section.header else "Top level")
        tables[section.kind] = [section.introduction, "", *_table(section)]
    return "\n".join(line for kind, names in titles.items() for line in (f"### {', '.join(names)}", "", *tables[kind], ""))


def _table(section: KeySection) -> list[str]:
    rows = [f"| `{key.name}` | {_default(key)} | {_cell(key.meaning)} |" for key in section.keys]
    return ["| key | default | meaning |", "|---|---|---|", *rows]


def _default(key: Key) -> str:
    if key.default is None:
        return "required" if key.required else "not set"
    return f"`{key.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
