"""The quickstart, its numbers and its cost: python run.py [--out OUT] [--finished].

Runs ``bmem run quickstart.toml`` in OUT (with ``--finished``: takes what a run has left there) and writes results.json, and
from it the table of the README of the project.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import bmem
from bmem.calibration.sample import SampleCalibration

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
SAMPLES = {"alpha0": "α = 0", "alpha45": "α = 45°"}
SYSTEMATIC = ("integration", "simulation_statistics", "weights", "method_bias")
MARK = "<!-- numbers of studies/quickstart/results.json -->"
Results = dict[str, float]


def timed_run(out: Path) -> Results:
    """Run everything; wall and processor time in seconds, imports and figures included."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "bmem", "run", str(HERE / "quickstart.toml"), "--out", str(out)]
    subprocess.run(command, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"wall_seconds": time.perf_counter() - start, "processor_seconds": used.ru_utime + used.ru_stime}


def numbers(out: Path, name: str) -> Results:
    """Those of one sample, angles in degrees."""
    found = bmem.load(out / "fit" / f"{name}.json")
    assert isinstance(found, bmem.Measurement)
    calibration = SampleCalibration.load(out / "calibration" / f"{name}.json")
    pulls, coverage = calibration.fits.pulls(), calibration.fits.coverage((0.683, 0.954))
    result = {"estimate": found.estimate.value, "effective_replicas": found.budget.effective_replicas}
    result |= {f"error_{source.replace(' ', '_')}": error for source, error in found.estimate.sources.items()}
    low, high = np.degrees(found.estimate.intervals[0].intervals[0])
    result |= {"interval_68_low": float(low), "interval_68_high": float(high)}
    for key in ("bias", "bias_error", "spread", "spread_error"):
        result[key] = float(np.degrees(getattr(pulls, key)))
    result |= {"pull_width": pulls.width, "pull_width_error": pulls.width_error}
    if calibration.yardstick_fits is not None:
        result["spread_x_hard_known"] = float(np.degrees(calibration.yardstick_fits.pulls().spread))
    for level, covered, trials in zip(("68", "95"), coverage.covered, coverage.trials, strict=True):
        result |= {f"covered_{level}": float(covered), f"trials_{level}": float(trials)}
    return result


def table(results: Results) -> str:
    """The table of the README."""
    rows = {
        "α̂ of the first 100 events": "{estimate:.1f}° ± {error_statistical:.1f}° (statistical)",
        "68.3 % interval": "[{interval_68_low:.2f}°, {interval_68_high:.2f}°]",
        "integration, simulation statistics, weights, method bias": "{systematic}",
        "bias over 20 subsamples": "{bias:+.1f} ± {bias_error:.1f}°",
        "spread of α̂ (with x_hard known)": "{spread:.1f} ± {spread_error:.1f}° ({spread_x_hard_known:.1f}°)",
        "pull width": "{pull_width:.2f} ± {pull_width_error:.2f}",
        "coverage of 68.3 % and 95.4 % intervals": "{covered_68:.0f}/{trials_68:.0f} and {covered_95:.0f}/{trials_95:.0f}",
    }
    own: list[dict[str, Any]] = []
    for sample in SAMPLES:
        own.append({k.removeprefix(f"{sample}_"): v for k, v in results.items() if k.startswith(f"{sample}_")})
        found = [own[-1].get(f"error_{source}") for source in SYSTEMATIC]
        own[-1]["systematic"] = ", ".join("–" if error is None else f"{error:.2f}°" for error in found)
    lines = [f"| | {' | '.join(SAMPLES.values())} |", "|---|---|---|"]
    lines += [f"| {what} | {' | '.join(text.format(**numbers) for numbers in own)} |" for what, text in rows.items()]
    wall, processor = results["wall_seconds"], results["processor_seconds"]
    cost = f"{wall / 60:.1f} min ({processor / 60:.1f} min of processor time)"
    return "\n".join([*lines, f"| wall time of the whole run, 2 CPU cores | {cost} | |"])


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/quickstart"))
    parser.add_argument("--finished", action="store_true")
    options = parser.parse_args()
    path = HERE / "results.json"
    results: Results = {}
    if options.finished and path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        results = {key: before[key] for key in ("wall_seconds", "processor_seconds") if key in before}
    elif not options.finished:
        results = timed_run(options.out)
    for name in SAMPLES:
        results |= {f"{name}_{key}": value for key, value in numbers(options.out, name).items()}
    path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    before, _, rest = README.read_text(encoding="utf-8").partition(MARK)
    after = rest.partition(MARK)[2]
    README.write_text(f"{before}{MARK}\n\n{table(results)}\n\n{MARK}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
