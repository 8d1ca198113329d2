"""What an observation tells at best: the ratio p(x_reco | θ) / p_ref(x_reco) by regression, without an integral.

Of a simulated event the ratio of its x_hard is known for every θ: it is Σ_k b_k(θ) r_k with r_k = s_k / Σ_k c_k s_k at its
x_hard and c the mixture over θ that made the events. Given x_reco its mean is E[r_k | x_reco] = I_k / I_ref, what the matrix
element method integrates. A network that learns it from all that is observed (cross entropy of the joint ratio,
arXiv:1808.00973) gives a ceiling of the information for any likelihood of the same events, as far as it was trained, and a
likelihood of its own.

A mean over hard events is a convex combination of their r_k: the network gives the weights of some extreme ones, so that its
ratio is positive at every θ, whatever the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.coordinates import Residuals
from bmem.likelihood.cross_section import mixture_coefficients, mixture_grid
from bmem.likelihood.density import condition_layout
from bmem.likelihood.roles import Pairs, Role
from bmem.networks.contract import Regressor
from bmem.networks.settings import RegressorSettings
from bmem.process.contract import Process
from bmem.replicas.contract import Replicas
from bmem.rng import generator, normal
from bmem.training import Network, Rows

ANCHORS = 64
"""Extreme hard events of which every ratio is a mean."""
_ROWS = 4096
"""Events whose ratios are computed at once."""


class RatioNetwork(Network):
    """E[r_k | x_reco] of K components, through the features of an observation in the coordinates of the proposal.

    Where these have ``component_signs(reference)`` [..., K], the signs that their symmetries give the components, the
    network need not learn them.

    Args:
        residuals: coordinates whose reference is the observation.
        regressor: with ``ANCHORS`` outputs.
        components: number K.
    """

    anchors: Tensor
    mean: Tensor

    def __init__(self, residuals: Residuals, regressor: Regressor, components: int) -> None:
        super().__init__()
        self.residuals, self.regressor = residuals, regressor
        self.register_buffer("anchors", torch.zeros(ANCHORS, components, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(components, dtype=torch.float64))

    def fit_features(self, inputs: Tensor) -> None:
        """Take the scales of the features from observations [N, D]."""
        self.regressor.fit_features(self.residuals.features(inputs))

    def fit_anchors(self, x_reco: Tensor, joint: Tensor) -> None:
        """Take the mean and the extremes of the joint ratios [N, K] of events, each the farthest in a random direction."""
        self.mean.copy_(joint.mean(0))
        own = joint * self._signs(x_reco)
        directions = normal((ANCHORS, joint.shape[1]), generator(0, "anchors"), own)
        self.anchors.copy_(own[((own - own.mean(0)) / own.std(0).clamp(min=1e-12) @ directions.T).argmax(0)])

    def ratios(self, x_reco: Tensor) -> Tensor:
        """E[r_k | x_reco]: [..., D] → [..., K] (float64)."""
        features = self.residuals.features(x_reco).to(next(self.regressor.parameters()).dtype)
        return self.regressor.predict(features).double().softmax(-1) @ self.anchors * self._signs(x_reco)

    def _signs(self, x_reco: Tensor) -> Tensor | float:
        own = getattr(self.residuals, "component_signs", None)
        return 1.0 if own is None else own(x_reco)


@dataclass(frozen=True)
class Ratio(Role):
    """p(x_reco | θ) / p_ref(x_reco), trained on the accepted pairs of events made uniform in θ.

    Attributes:
        network: the regressor.
        process: whose components are known for x_hard.
    """

    network: RegressorSettings
    process: Process

    def build(self) -> RatioNetwork:
        regressor = self.network.make(condition_layout(self.coordinates), ANCHORS)
        return RatioNetwork(self.coordinates, regressor, len(mixture_coefficients(self.process)))

    def objective(self, module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross entropy of the joint ratio, averaged over θ."""
        x_reco, joint = batch
        basis = self.process.basis(mixture_grid(self.process)).to(joint)
        scale = basis @ module.mean  # type: ignore[operator]
        ratio = joint @ basis.T / scale
        learned = torch.log(module.ratios(x_reco) @ basis.T / scale)  # type: ignore[operator]
        softplus = nn.functional.softplus
        return (ratio * softplus(-learned) + softplus(learned)).mean()

    def prepare(self, module: RatioNetwork, data: Pairs, made: Mapping[str, Replicas]) -> Rows:
        x_reco, x_hard = data.accepted_pairs
        joint = joint_ratios(self.process, x_hard)
        module.fit_features(x_reco)
        module.fit_anchors(x_reco, joint)
        return x_reco, joint


def joint_ratios(process: Process, x_hard: Tensor) -> Tensor:
    """r_k = s_k / Σ_k c_k s_k of hard events [N, H] that were made uniform in θ: [N, K]."""
    s = process.components(x_hard)
    return s / (s @ mixture_coefficients(process).to(s)).unsqueeze(-1)


def ratio_coefficients(ratio: Replicas, x_reco: Tensor) -> Coefficients:
    """The learned ratios of observations [N, D] in the place of integrals: fits, belts and scores take them as these.

    They are I_k / I_ref, and σ_k / σ_ref for the cross sections: a likelihood of the shape, without absolute densities.
    """
    with torch.no_grad():
        values = torch.cat([ratio("ratios", rows) for rows in x_reco.split(_ROWS)], dim=1)
    return Coefficients.exact(values.cpu().numpy(), ratio.weights["mean"].cpu().numpy())
