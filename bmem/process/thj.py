"""pp → t H j through t-channel W exchange: the process in which bmem measures α."""

from __future__ import annotations

from bmem.process.channels import T_CHANNEL
from bmem.process.single_top_higgs import SingleTopHiggs


class THJ(SingleTopHiggs):
    """pp → t H j and t̄ H j, t channel: {u, c, d̄, s̄} b and their charge conjugates, both beam orders.

    Example:
        >>> import torch
        >>> process = THJ(sqrt_s=13_000.0)
        >>> x = torch.tensor([100.0, 0.3, 0.5, 60.0, -2.0, 2.5, 0.1], dtype=torch.float64)
        >>> (process.basis(torch.tensor([0.0], dtype=torch.float64)) * process.components(x)).sum(-1) > 0
        tensor(True)
    """

    channels = T_CHANNEL
