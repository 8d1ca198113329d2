"""The table of all configuration keys, made from the settings classes themselves so that it cannot be out of date."""

from __future__ import annotations

from bmem.keys import Key, KeySection, sections

PLACEHOLDER = "<!-- configuration keys -->"
"""The line of a page that `markdown` replaces."""


def markdown() -> str:
    """One heading and one table for every settings class with the same defaults, and all sections that it configures."""
    titles: dict[tuple[str, ...], list[str]] = {}
    for section in sections():
        table = (section.introduction, "", *_table(section))
        titles.setdefault(table, []).append(f"`{section.header}`" if section.header else "Top level")
    return "\n".join(line for table, names in titles.items() for line in (f"### {', '.join(names)}", "", *table, ""))


def _table(section: KeySection) -> list[str]:
    rows = [f"| `{key.name}` | {_default(key)} | {_cell(key.meaning)} |" for key in section.keys]
    return ["| key | default | meaning |", "|---|---|---|", *rows]


def _default(key: Key) -> str:
    if key.default is None:
        return "required" if key.required else "not set"
    return f"`{key.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
