"""MadGraph events through Pythia: python run.py FOLDER_WITH_LHE_FILES --out OUT [--events N].

The folder holds thj_alpha0.lhe.gz, thj_alpha45.lhe.gz and thj_alpha90.lhe.gz; --events limits the events taken of each file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from bmem.config import SampleSection, load
from bmem.stages import STAGES, Run

ANGLES = (0, 45, 90)


def main() -> None:
    """Run all stages on the MadGraph samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/thj_pythia"))
    parser.add_argument("--events", type=int)
    arguments = parser.parse_args()
    samples = tuple(
        SampleSection(name=f"alpha{a}", alpha=a, file=arguments.folder / f"thj_alpha{a}.lhe.gz", events=arguments.events)
        for a in ANGLES
    )
    config = load(Path(__file__).with_name("thj_pythia.toml")).model_copy(update={"sample": samples})
    run = Run(config, arguments.out, Console(soft_wrap=True))
    for name, stage in STAGES.items():
        run.say(f"[bold]{name}[/]")
        stage(run)


if __name__ == "__main__":
    main()
