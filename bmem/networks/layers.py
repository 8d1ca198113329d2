"""Building blocks of the networks: input features and multilayer perceptrons."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.rng import generator
from bmem.training.network import Network


class Features(nn.Module):
    """Inputs as a network should see them: angles as (sin, cos), the rest standardised.

    Mean and deviation are buffers: they belong to the state dict, and stay 0 and 1 until ``fit``.

    Args:
        periodic: for each of the C inputs, whether it is an angle in radians.
    """

    plain: Tensor
    angles: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, periodic: tuple[bool, ...]) -> None:
        super().__init__()
        plain = [i for i, is_angle in enumerate(periodic) if not is_angle]
        angles = [i for i, is_angle in enumerate(periodic) if is_angle]
        self.inputs = len(periodic)
        self.outputs = len(plain) + 2 * len(angles)
        self.register_buffer("plain", torch.tensor(plain, dtype=torch.long), persistent=False)
        self.register_buffer("angles", torch.tensor(angles, dtype=torch.long), persistent=False)
        self.register_buffer("mean", torch.zeros(len(plain)))
        self.register_buffer("deviation", torch.ones(len(plain)))

    def fit(self, data: Tensor) -> None:
        """Take mean and standard deviation from ``data`` [N, C]; a constant column keeps deviation 1.

        Raises:
            InputError: wrong number of columns, fewer than two rows, or values that are not finite.
        """
        if data.ndim != 2 or data.shape[1] != self.inputs or len(data) < 2:
            raise InputError(f"features are fitted on [N >= 2, {self.inputs}] values, not on {tuple(data.shape)}")
        if not len(self.plain):
            return
        columns = data.to(torch.float64).index_select(-1, self.plain)
        if not torch.isfinite(columns).all():
            bad = self.plain[~torch.isfinite(columns).all(dim=0)].tolist()
            raise InputError(f"features of columns {bad} are not finite; drop or mend these events first")
        deviation = columns.std(dim=0)
        self.mean.copy_(columns.mean(dim=0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] → [..., outputs]."""
        parts = [(x.index_select(-1, self.plain) - self.mean) / self.deviation]
        if len(self.angles):
            angle = x.index_select(-1, self.angles)
            parts += [angle.sin(), angle.cos()]
        return torch.cat(parts, dim=-1)


class MLP(Network):
    """A perceptron whose hidden layers after the first are residual; its output is zero at first.

    A new network always has the same weights; ``reset`` draws others.

    Args:
        inputs: number of inputs.
        outputs: number of outputs.
        hidden: width of the hidden layers.
        layers: number of hidden layers, at least 1.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        if layers < 1 or hidden < 1:
            raise InputError(f"a network needs hidden layers of some width, not layers={layers}, hidden={hidden}")
        self.first = nn.Linear(inputs, hidden)
        self.middle = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))
        self.last = nn.Linear(hidden, outputs)
        self.reset(generator(0, "MLP", inputs, outputs, hidden, layers))

    def reset(self, rng: torch.Generator) -> None:
        """Draw first weights: uniform with deviation 1 / √(3 inputs of the layer), and 0 in the last layer."""
        for layer in (self.first, *self.middle):
            bound = layer.weight.shape[1] ** -0.5 if layer.weight.shape[1] else 0.0
            for value in (layer.weight, layer.bias):
                drawn = torch.empty(value.shape, dtype=value.dtype, device=rng.device).uniform_(-bound, bound, generator=rng)
                value.data.copy_(drawn)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def last_layer(self) -> tuple[str, ...]:
        return ("last",)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] → [..., outputs]."""
        # In place where no gradient needs the old values: memory traffic is a quarter of the time of a large batch.
        in_place = not torch.is_grad_enabled()
        x = nn.functional.silu(self.first(x), inplace=in_place)
        for layer in self.middle:
            x = nn.functional.silu(layer(x), inplace=in_place).add_(x)
        return self.last(x)
