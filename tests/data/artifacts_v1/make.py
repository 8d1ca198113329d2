"""Makes the artifacts of format version 1 in this folder. They stay as they are: later versions of bmem must read them.

    python tests/data/artifacts_v1/make.py FOLDER

writes those of today's bmem to FOLDER, which is then committed under the name of its own format version.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from bmem import artifacts
from bmem.channels.thj.coordinates import ThjReco
from bmem.config import load
from bmem.events import parquet
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.likelihood.density import ResidualDensity
from bmem.replicas import Replicas
from bmem.stages import STAGES, Run
from bmem.stages.train import build

STUDY = Path(__file__).parent / "study.toml"


class LinearEta(ThjReco):
    """The coordinates of that time: the spectator's η had no bound, and its residual was the plain difference."""

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """As then; of the Jacobian the factor of η is left out."""
        point, log_jacobian = super().inverse(residual, reference)
        sign = torch.where(reference[..., 5] < 0, -1.0, 1.0)
        point[..., 5] = reference[..., 5] + sign * residual[..., 5]
        return point, log_jacobian


def kept(run: Run) -> list[Path]:
    """The artifacts to keep, one of each kind."""
    return [
        run.events("alpha45"),
        run.network("acceptance"),
        run.network("transfer"),
        run.fiducial,
        run.coefficients("alpha45"),
        run.fit("alpha45"),
    ]


def contents(run: Run) -> dict[str, Any]:
    """Numbers that tell whether the artifacts are read as they were written."""
    pairs = parquet.read_pairs(run.events("alpha45"))
    x = pairs.hard.x[:5]
    acceptance = Replicas.load(run.network("acceptance"), build(run, "acceptance"))
    transfer = Replicas.load(run.network("transfer"), ResidualDensity(LinearEta(), run.config.transfer.network))
    noise = torch.full((5, 11), 0.4, dtype=torch.float64)
    coefficients = Coefficients.load(run.coefficients("alpha45"))
    with torch.no_grad():
        probability, drawn = acceptance("probability", x)[0], transfer("from_noise", noise, x)[0][0]
    assert coefficients.bootstrap is not None
    return {
        "hard": x.tolist(),
        "accepted": pairs.accepted.tolist(),
        "photons": pairs.reco.photons.features[:3].tolist(),
        "probability": probability.tolist(),
        "drawn": drawn.tolist(),
        "fiducial": FiducialCrossSection.load(run.fiducial).values.tolist(),
        "values": coefficients.values.tolist(),
        "bootstrap": coefficients.bootstrap.sum(axis=(0, 2)).tolist(),
        "minima": json.loads(run.fit("alpha45").read_text())["budget"]["estimate"]["minima"],
    }


def make(folder: Path) -> None:
    """Run the study and keep its artifacts, and what is in them, in ``folder``."""
    with tempfile.TemporaryDirectory() as temporary:
        run = Run(load(STUDY), Path(temporary), Console())
        for stage in ("simulate", "train", "integrate", "fit"):
            STAGES[stage](run)
        for path in kept(run):
            for part in (path, artifacts.sidecar(path)):
                target = folder / part.relative_to(run.out)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(part, target)
    copied = contents(Run(load(STUDY), folder, Console()))
    (folder / "contents.json").write_text(json.dumps(copied, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
