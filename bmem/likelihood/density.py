"""A learned density of physical points: a network on the unit cube behind residual coordinates.

Transfer and proposal are two of these:

transfer p(x_reco | x_hard): trained by maximum likelihood on accepted pairs, so normalised over accepted events.
proposal q(x_hard | x_reco): the same with the roles exchanged; it only has to be close, the integral is exact for any q.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from bmem.errors import ConfigError, InputError
from bmem.events.observation import Layout
from bmem.likelihood.coordinates import Residuals
from bmem.networks.contract import ConditionalDensity
from bmem.networks.densities.coupling import CouplingSettings
from bmem.networks.mixture import DefensiveMixture, Uniform
from bmem.networks.settings import DensitySettings
from bmem.transforms.contract import Transform
from bmem.transforms.elementwise import Affine, Columns, Compose, HeavyTail, Moebius, PeriodicToUnit

_EDGE = 2.0**-24
_FIT_ROWS = 200_000


class ResidualDensity(ConditionalDensity):
    """p(x | c) = p_cube(u | features(c)) |du/dx|, with u the residuals of x given c brought to the unit cube.

    Points and conditions are float64; only the network works in the precision of its weights. Scales of the residuals and of
    the features are buffers, taken from data by ``fit_scales``, and so is the range of the features seen there. Coordinates
    of sets of objects bring them to the cube by themselves, and tell their layout in ``target``.

    Args:
        residuals: coordinates of the target given the reference.
        settings: of the network; default: a coupling flow.
        defensive: fraction of a broad component (the heavy-tailed distribution of the residual scales); 0 for none.
    """

    low: Tensor
    high: Tensor

    def __init__(self, residuals: Residuals, settings: DensitySettings | None = None, defensive: float = 0.0) -> None:
        super().__init__()
        condition, target = condition_layout(residuals), getattr(residuals, "target", None)
        if target and defensive:
            raise ConfigError("a density of a set of objects has no broad component: set its defensive fraction to 0")
        self.residuals = residuals
        layout = target or Layout(len(residuals.circular))
        learned = (settings or CouplingSettings()).make(layout, residuals.circular, condition)
        self.density = DefensiveMixture(learned, Uniform(layout.width), defensive) if defensive else learned
        self.noise_dim = self.density.noise_dim
        self.to_cube = Compose() if target else _to_cube(residuals.circular)
        self.register_buffer("low", torch.full((condition.width,), -torch.inf, dtype=torch.float64))
        self.register_buffer("high", torch.full((condition.width,), torch.inf, dtype=torch.float64))

    @property
    def learned(self) -> ConditionalDensity:
        """The learned part, without the defensive one."""
        return self.density.density if isinstance(self.density, DefensiveMixture) else self.density

    def fit_scales(self, x: Tensor, condition: Tensor) -> None:
        """Take all scales from pairs x [N, D], condition [N, C].

        Raises:
            InputError: a residual or feature is not finite or does not vary.
        """
        residual, log_jacobian = self.residuals.forward(x[:_FIT_ROWS], condition[:_FIT_ROWS])
        finite = torch.isfinite(residual).all(-1) & torch.isfinite(log_jacobian)
        if not finite.all():
            bad = int((~finite).nonzero()[0])
            raise InputError(f"the residuals of pair {bad} are not finite; check the events that go into the training")
        if isinstance(self.to_cube, Columns):
            for transform, columns in zip(self.to_cube.transforms, self.to_cube.columns, strict=True):
                cast(Compose, transform).transforms[0].fit(residual[:, columns])  # type: ignore[operator]
        else:
            _check_numbers(self.residuals.target, x)  # type: ignore[attr-defined]
        self.fit_features(condition)

    def fit_features(self, inputs: Tensor) -> None:
        """Take the scales of the features, and the range seen of them, from conditions [N, C]."""
        features = self.residuals.features(inputs)
        self.density.fit_features(features)
        self.low.copy_(features.amin(0))
        self.high.copy_(features.amax(0))

    def seen(self, condition: Tensor) -> Tensor:
        """Whether a condition [..., C] lies in the range of the training data, feature by feature: [...]."""
        features = self.residuals.features(condition)
        return ((features >= self.low) & (features <= self.high)).all(-1)

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x | c) in the units of x: [..., D], [..., C] → [...]."""
        lead = torch.broadcast_shapes(x.shape[:-1], condition.shape[:-1])
        x, condition = x.expand(*lead, -1), condition.expand(*lead, -1)
        residual, log_residual = self.residuals.forward(x, condition)
        u, log_cube = self.to_cube(residual)
        return self.density.log_prob(*self._single(u, condition)) + log_cube + log_residual

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform noise [..., noise_dim] to points [..., D] and their log-density [...].

        Many points of one condition, noise [E, M, noise_dim] and condition [E, 1, C], read it only once.
        """
        u, log_density = self.density.from_noise(*self._single(noise, condition))
        residual, log_cube = self.to_cube.inverse(u.to(condition.dtype).clamp(_EDGE, 1 - _EDGE))
        x, log_residual = self.residuals.inverse(residual, condition.expand(*residual.shape[:-1], -1))
        return x, log_density - log_cube - log_residual

    def _single(self, u: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """A point of the cube, off its faces, and the features, in the precision of the network."""
        dtype = next(self.density.parameters()).dtype
        return u.to(dtype).clamp(_EDGE, 1 - _EDGE), self.residuals.features(condition).to(dtype)


def _check_numbers(target: Layout, rows: Tensor) -> None:
    """Raise InputError unless some of ``rows`` [N, width] has as many objects as there are places: a density that never saw
    so many would have to guess."""
    most = int(target.unpack(rows)[2].sum(-1).max())
    if most < target.objects:
        raise InputError(
            f"no event of the training has more than {most} objects, there are places for {target.objects}: lower their "
            "largest number, or simulate more events"
        )


def condition_layout(residuals: Residuals) -> Layout:
    """How the features of the reference are laid out: as the coordinates tell in ``layout``, otherwise as plain numbers."""
    return getattr(residuals, "layout", None) or Layout(residuals.n_features)


def _to_cube(circular: tuple[bool, ...]) -> Columns:
    """Lines, standardised, through a heavy-tailed distribution function; circles through a stretch around 0."""
    lines = tuple(i for i, c in enumerate(circular) if not c)
    circles = tuple(i for i, c in enumerate(circular) if c)
    affine = Affine(torch.zeros(len(lines), dtype=torch.float64), torch.ones(len(lines), dtype=torch.float64))
    moebius = Moebius(torch.ones(len(circles), dtype=torch.float64))
    parts: list[tuple[Transform, tuple[int, ...]]] = [
        (Compose(affine, HeavyTail()), lines),
        (Compose(moebius, PeriodicToUnit()), circles),
    ]
    return Columns((transform, columns) for transform, columns in parts if columns)
