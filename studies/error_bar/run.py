"""Is the error bar true? python run.py [PART ...] [--run RUN] [--out OUT] [--quick].

The parts are toy_100, toy_1000, toy_10000, background_nuisances, and bias with the folder of a finished run.

Each part updates OUT/results.json; ``--readme`` writes the tables of README.md from it. See README.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import belts
import bias
import numpy as np
from toy import REPLICAS, closure

SEED = 1
EXPERIMENTS = {100: 800, 1000: 600, 10_000: 300}
HERE = Path(__file__).parent
MARK = "<!-- from results.json -->"
MARK_BELTS, MARK_BIAS = "<!-- belts from results.json -->", "<!-- bias from results.json -->"
Results = dict[str, float]


def toy(events: int, scale: int) -> Results:
    """Pulls and coverage of the average over replicas, of its profile interval and of the old mean of likelihoods."""
    experiments = EXPERIMENTS[events] // scale
    found = closure(events, experiments, SEED)
    usable = np.isfinite(found.old.error)
    return {
        f"toy_experiments_{events}": experiments,
        f"toy_pull_width_{events}": float(found.equal.pulls.std(ddof=1)),
        f"toy_pull_mean_{events}": float(found.equal.pulls.mean()),
        f"toy_coverage_68_{events}": float(found.equal.inside.mean()),
        f"toy_coverage_68_profile_{events}": float(found.profile.mean()),
        f"toy_network_share_{events}": found.network_share,
        f"toy_effective_replicas_{events}": float(found.effective.mean()),
        f"toy_old_pull_width_{events}": float(found.old.pulls[usable].std(ddof=1)),
        f"toy_old_coverage_68_{events}": float(found.old.inside.mean()),
        f"toy_old_effective_replicas_{events}": float(found.effective_old.mean()),
    }


PARTS: dict[str, Callable[[int], Results]] = {
    **{f"toy_{events}": partial(toy, events) for events in EXPERIMENTS},
    "background_nuisances": belts.background_nuisances,
}


def table(results: Results) -> str:
    """The toy's part of README.md."""
    lines = [
        f"| events | network / total | pull width | ± total covers | profile covers | effective of {REPLICAS} "
        "| old: pull width | covers | effective |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for events in EXPERIMENTS:
        if f"toy_experiments_{events}" not in results:
            continue
        width, share, experiments = (results[f"toy_{n}_{events}"] for n in ("pull_width", "network_share", "experiments"))
        covers = [f"{100 * results[f'toy_{n}_68{end}_{events}']:.1f} %" for n, end in _COVERAGES]
        effective, before = (results[f"toy_{n}effective_replicas_{events}"] for n in ("", "old_"))
        lines.append(
            f"| {events} | {share:.2f} | {width:.2f} ± {width / np.sqrt(2 * experiments):.2f} | {covers[0]} | {covers[1]} "
            f"| {effective:.1f} | {results[f'toy_old_pull_width_{events}']:.2f} | {covers[2]} | {before:.1f} |"
        )
    counts = [results[f"toy_experiments_{e}"] for e in EXPERIMENTS if f"toy_experiments_{e}" in results]
    errors = [100 * np.sqrt(0.683 * 0.317 / count) for count in counts]
    return "\n".join([*lines, "", "Binomial errors of the coverages: " + ", ".join(f"{e:.1f}" for e in errors) + " %."])


def bias_table(results: Results) -> str:
    """The part of README.md on the bias of a run."""
    lines = ["| α | shift of α̂ by the integrals | error of the counted σ_k |", "|---|---|---|"]
    for degrees in bias.ANGLES:
        shift, error, counting = (results[f"bias_deg{what}_{degrees}"] for what in ("", "_error", "_counting"))
        lines.append(f"| {degrees}° | {shift:+.3f} ± {error:.3f}° | {counting:.2f}° |")
    return "\n".join([*lines, "", f"{results['bias_events']:.0f} validation events, {bias.POINTS} points each."])


def written(text: str, mark: str, found: str) -> str:
    """``text`` with what was ``found`` between its two marks."""
    before, _, after = text.split(mark)
    return mark.join([before, f"\n\n{found}\n\n", after])


_COVERAGES = (("coverage", ""), ("coverage", "_profile"), ("old_coverage", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {[*PARTS, 'bias']}, by default all but bias")
    parser.add_argument("--run", type=Path, help="folder of a finished run, for its bias")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--readme", action="store_true", help="only write README.md from the results")
    given = parser.parse_args()
    parts = PARTS | ({} if given.run is None else {"bias": lambda scale: bias.biases(given.run, bias.EVENTS // scale)})
    if unknown := set(given.parts) - set(parts):
        parser.error(f"no part {sorted(unknown)}; there are {list(parts)}, and bias with --run")
    path = given.out / "results.json"
    given.out.mkdir(parents=True, exist_ok=True)
    for name in [] if given.readme else given.parts or PARTS:
        found = parts[name](10 if given.quick else 1)
        every = {**(json.loads(path.read_text()) if path.exists() else {}), **found}
        path.write_text(json.dumps(dict(sorted(every.items())), indent=2) + "\n")
        print(json.dumps(found, indent=2), flush=True)
    if given.readme:
        readme, results = HERE / "README.md", json.loads(path.read_text())
        text = written(readme.read_text(), MARK, table(results))
        text = written(text, MARK_BELTS, belts.table(results))
        readme.write_text(written(text, MARK_BIAS, bias_table(results)))


if __name__ == "__main__":
    main()
