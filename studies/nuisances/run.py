"""Nuisance parameters on answers that are known: python run.py [sizes] [toy]; --readme writes the tables.

Every part updates results.json; the tables of the guide and of the README beside are made from it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import closure
import sizes

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGES = (HERE / "README.md", HERE.parents[1] / "docs" / "guide" / "nuisances.md")
MARK = "<!-- numbers of studies/nuisances/results.json -->"
PARTS = {"sizes": sizes.sizes, "toy": closure.toy}


def size_table(found: dict[str, dict[str, list[float]]]) -> list[str]:
    """Shifts in degrees by α."""
    names = {f"pdf{i}": grid.removesuffix("_0000.dat") for i, grid in enumerate(sizes.GRIDS)} | {"scale": "scale / 2, · 2"}
    lines = ["| α | " + " | ".join(names.values()) + " |", "|---|" + "---|" * len(names)]
    for alpha, shifts in found.items():
        cells = [", ".join(f"{shift:+.2f}°" for shift in shifts[name]) for name in names]
        lines.append(f"| {alpha}° | " + " | ".join(cells) + " |")
    return lines


def closure_table(found: dict[str, Any]) -> list[str]:
    """Estimates with ν free and held."""
    lines = ["| true ν | θ̂, ν free | ν̂ | θ̂, ν held at 0 | expected, ν held |", "|---|---|---|---|---|"]
    for nu, one in found.items():
        theta, held = (f"{one[key][0]:.2f} ± {one[key][1]:.2f}" for key in ("free", "held"))
        expected = f"{one['held_by_closed_form']:.2f}"
        lines.append(f"| {nu} | {theta} | {one['nu'][0]:.2f} ± {one['nu'][1]:.2f} | {held} | {expected} |")
    return lines


def tables(results: dict[str, Any]) -> str:
    """All tables, with what they are of."""
    lines = []
    if "sizes" in results:
        told = "Shift of α̂ if other parton densities, or half and twice the scale, are taken for the nominal ones:"
        lines += [told, "", *size_table(results["sizes"]), ""]
    if "toy" in results:
        told = "Toy with learned networks, θ = 2, x moved by 0.2 ν; expected is the closed form:"
        lines += [told, "", *closure_table(results["toy"]), ""]
    return "\n".join(lines)


def write_pages(results: dict[str, Any]) -> None:
    """Replace what stands between the marks."""
    for page in PAGES:
        head, _, tail = page.read_text(encoding="utf-8").split(MARK)
        page.write_text(f"{head}{MARK}\n\n{tables(results)}\n{MARK}{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--readme", action="store_true", help="write the tables")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in arguments.parts:
        results[name] = PARTS[name]()
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if arguments.readme:
        write_pages(results)


if __name__ == "__main__":
    main()
