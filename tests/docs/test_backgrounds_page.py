"""The blocks of the page on backgrounds run one after the other, on toy events in place of a run's."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmem.channels.thj.backgrounds import DiphotonBackground
from bmem.events.record import PHOTON_FEATURES, Objects, RecoEvents
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "backgrounds.md"
SHARE = 60


def toy() -> dict[str, Any]:
    """140 toy events and SHARE uniform ones between -5 and 5, whose exact integrals are in units of 0.01 pb."""
    process, rng = LinearGaussian(), generator(1, "page")
    hard = process.sample(140, torch.tensor([0.8], dtype=torch.float64), rng)
    uniform = 10 * torch.rand(SHARE, 2, generator=rng, dtype=torch.float64) - 5
    values = 0.01 * process.integrals(torch.cat([process.response(hard.x, rng), uniform])).numpy()
    n, k = values.shape
    sigma = 0.01 * process.fiducial().numpy()
    sample = Coefficients(values[None], np.zeros((1, n, k, k)), sigma[None], np.zeros((1, k, k)))
    return {"coefficients": sample, "basis": MorphingBasis.of(process), "log_p": np.full(n, np.log(0.01))}


def photons(n: int) -> RecoEvents:
    """Pairs back to back of masses about 125 GeV."""
    pt = 62.5 + torch.randn(n, 2, generator=generator(1, "photons"))
    angles = torch.tensor([0.0, torch.pi]).expand(n, 2)
    features = torch.stack([pt, torch.zeros(n, 2), angles, torch.ones(n, 2)], -1)
    return RecoEvents({"photons": Objects(features, torch.ones(n, 2, dtype=torch.bool), PHOTON_FEATURES)})


def test_the_blocks_run() -> None:
    x = DiphotonBackground().sample(200, generator(1, "observables"))
    masses = 125 + torch.randn(1000, generator=generator(1, "masses"), dtype=torch.float64)
    names = toy() | {"reco": photons(200), "x_reco": x, "simulated_masses": masses}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    floating, constrained, counted = (names[name].best for name in ("floating", "constrained", "counted"))
    assert floating.theta[1] == pytest.approx(0.3, abs=4 * floating.error[1])
    assert constrained.error[1] < 0.02 < floating.error[1]
    assert counted.theta[1] == pytest.approx(SHARE / 3000, rel=0.5)
    assert torch.isfinite(names["log_p"]).all()
