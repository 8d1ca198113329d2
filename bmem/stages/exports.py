"""What a finished run gives to other programs: its measurements, with what was fitted."""

from __future__ import annotations

from dataclasses import replace

from bmem import artifacts
from bmem.errors import ArtifactError
from bmem.measurement import Measurement
from bmem.stages.fit import hypotheses_of
from bmem.stages.run import Run


def finished_measurements(run: Run) -> dict[str, Measurement]:
    """Those that are there, by the name of the sample; nothing is computed or written.

    Raises:
        ArtifactError: no sample is measured, or what a measurement follows from is missing or damaged.
    """
    there = [sample.name for sample in run.config.sample if artifacts.exists(run.fit(sample.name))]
    if not there:
        raise ArtifactError(f"{run.out}: no sample is measured yet; run 'bmem run CONFIG.toml --out {run.out}'")
    return {name: replace(Measurement.load(run.fit(name)), source=hypotheses_of(run, name)[0]) for name in there}
