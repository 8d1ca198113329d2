"""pp → t b̄ H through s-channel W exchange: a second process from the same building blocks."""

from __future__ import annotations

from bmem.process.channels import S_CHANNEL
from bmem.process.single_top_higgs import SingleTopHiggs


class TBH(SingleTopHiggs):
    """pp → t b̄ H and t̄ b H, s channel: u d̄, c s̄ and their charge conjugates; the b is the jet of x_hard."""

    channels = S_CHANNEL
