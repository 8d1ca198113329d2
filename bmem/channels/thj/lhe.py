"""What an LHE event of pp → tHj must be."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bmem.events.lhe_content import Codes, LHEContent, Mask, SLHAParameter
from bmem.process.single_top_higgs import ALPHA

_TOP, _HIGGS = 6, 25


class ThjLHE(LHEContent):
    """q b → q' t H and conjugates, t channel; ``top`` and ``higgs`` are the masses that the events must have, in GeV."""

    def __init__(self, top: float = 172.5, higgs: float = 125.0) -> None:
        super().__init__(
            title="q b → q' t H (or its conjugate)",
            roles=("incoming parton along +z", "incoming parton along -z", "top", "Higgs boson", "light jet"),
            masses=(0.0, 0.0, top, higgs, 0.0),
            advice="generate p p > t h j without decays (they are bmem's work): t channel, five flavours",
            parameters=(SLHAParameter(ALPHA.quantity, "cpyuk", 1, largest=2 * math.pi),),
        )

    def outgoing(self, pdg: Codes) -> NDArray[np.intp]:
        code = np.abs(pdg)
        return np.where(code == _TOP, 0, np.where(code == _HIGGS, 1, 2))

    def holds(self, pdg: Codes) -> Mask:
        """Whether the events are a b quark, another light quark → top, Higgs boson, light quark."""
        top, higgs, jet = pdg[:, 2], pdg[:, 3], pdg[:, 4]
        is_b = np.abs(pdg[:, :2]) == 5
        b = np.where(is_b, pdg[:, :2], 0).sum(axis=1)
        light = np.where(is_b, 0, pdg[:, :2]).sum(axis=1)
        return (
            (is_b.sum(axis=1) == 1)
            & (higgs == _HIGGS)
            & (np.abs(top) == _TOP)
            & (b * top == 5 * _TOP)
            & _light(light)
            & _light(jet)
            & (light * jet > 0)
            # the W takes one unit of charge from the light line to the heavy one: u → d and d̄ → ū with b → t
            & ((np.abs(light) % 2 == 1) == (light * top < 0))
            & (np.abs(light) % 2 != np.abs(jet) % 2)
        )

    def colours(self, pdg: Codes) -> Codes:
        """The t-channel W carries no colour: one line runs from b to t, the other along the light quark."""
        code = np.abs(pdg)
        line = np.where((code >= 5) & (code <= _TOP), 501, np.where(code == _HIGGS, 0, 502))
        return np.stack([np.where(pdg > 0, line, 0), np.where(pdg < 0, line, 0)], axis=-1)


def _light(code: Codes) -> Mask:
    return (np.abs(code) >= 1) & (np.abs(code) <= 4)
