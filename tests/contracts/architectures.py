"""Every architecture, small: a line here puts it through all tests of its family and of the weight posteriors."""

from __future__ import annotations

import torch
from torch import nn

from bmem.networks.classifiers.perceptron import PerceptronSettings
from bmem.networks.densities.coupling import CouplingSettings
from bmem.networks.densities.set_coupling import SetCouplingSettings
from bmem.networks.densities.transfermer import TransfermerSettings
from bmem.networks.regressors.transformer import TransformerSettings
from bmem.networks.settings import ClassifierSettings, DensitySettings, RegressorSettings

DENSITIES: dict[str, DensitySettings] = {
    "coupling": CouplingSettings(blocks=4, hidden=12, layers=2, bins=5),
    "set_coupling": SetCouplingSettings(blocks=4, hidden=12, layers=2, bins=5, width=8, heads=2, encoder_blocks=1),
    "transfermer": TransfermerSettings(width=8, heads=2, blocks=1, hidden=12, layers=2, bins=4),
}
CLASSIFIERS: dict[str, ClassifierSettings] = {
    "perceptron": PerceptronSettings(hidden=8, layers=2),
}
REGRESSORS: dict[str, RegressorSettings] = {
    "transformer": TransformerSettings(width=8, heads=2, blocks=1, hidden=12, layers=2),
}


def perturb(module: nn.Module, seed: int = 3) -> None:
    """Random weights: an untrained network is often the identity and tests nothing."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        step = torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / parameter.shape[-1] ** 0.5
        parameter.data += step.to(parameter.dtype)
