"""MadGraph events through Pythia: python run.py FOLDER_WITH_LHE_FILES --out OUT [--events N] [--config objects.toml].

The folder holds thj_alpha0.lhe.gz, thj_alpha45.lhe.gz and thj_alpha90.lhe.gz; --events limits the events taken of each file.
With objects.toml the networks read all jets of an event.
Runs all stages and prints how often the Feldman-Cousins intervals of the subsamples contain the truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from bmem.calibration.sample import SampleCalibration
from bmem.config import SampleSection, load
from bmem.inference.objective import MarginalLikelihood, unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.stages import STAGES, Run
from bmem.stages.belt import LEVELS, belt_of

ANGLES = (0, 45, 90)


def main() -> None:
    """Run all stages on the MadGraph samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/thj_pythia"))
    parser.add_argument("--events", type=int)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("thj_pythia.toml"))
    arguments = parser.parse_args()
    samples = tuple(
        SampleSection(name=f"alpha{a}", alpha=a, file=arguments.folder / f"thj_alpha{a}.lhe.gz", events=arguments.events)
        for a in ANGLES
    )
    config = load(arguments.config).model_copy(update={"sample": samples})
    run = Run(config, arguments.out, Console(soft_wrap=True))
    for name, stage in STAGES.items():
        run.say(f"[bold]{name}[/]")
        stage(run)
    run.say("| sample | " + " | ".join(f"in {100 * level:.1f} %, median length" for level in LEVELS) + " |")
    for sample in samples:
        run.say(feldman_cousins(run, sample.name))


def feldman_cousins(run: Run, name: str) -> str:
    """Of how many subsamples the Feldman-Cousins interval contains the truth, and how long it is: one row."""
    coefficients, basis = Coefficients.load(run.coefficients(name)), MorphingBasis.of(run.process)
    lost = unusable_events(coefficients, basis)
    fits = SampleCalibration.load(run.calibration(name)).fits
    subsamples = [coefficients.select(np.setdiff1d(rows, lost)) for rows in fits.events]
    objectives = [MarginalLikelihood.of(sample, basis) for sample in subsamples]
    belts = {n: belt_of(run, n) for n in {objective.n_events for objective in objectives}}
    cells = []
    for level in LEVELS:
        regions = [belts[objective.n_events].interval(objective, level) for objective in objectives]
        covered = sum(bool(region.contains(fits.truth)) for region in regions)
        length = np.degrees(np.median([region.length for region in regions]))
        cells.append(f"{covered}/{len(regions)}, {length:.0f}°")
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
