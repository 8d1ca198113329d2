"""The one interface of every invertible map."""

from __future__ import annotations

from torch import Tensor, nn


class Transform(nn.Module):
    """An invertible map of the last axis, possibly depending on a context.

    ``forward`` and ``inverse`` both return the mapped point [..., D] and the log-Jacobian log|d out / d in| [...] of the
    direction that was taken.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        raise NotImplementedError

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        raise NotImplementedError
