"""Couplings themselves as parameters: the same integrals I_k, another basis.

The amplitude is M_W + κ_S M_S + κ_P M_P with M_W fixed by the gauge couplings, so the components of the cross section do not
change when κ_S and κ_P are free instead of tied to the phase α, and nothing has to be integrated again.
"""

from __future__ import annotations

from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process.contract import Parameter

SCALAR = Parameter("kappa_S", (-3.0, 3.0), symbol=r"\kappa_S", text="κ_S")
"""κ_S, 1 in the Standard Model."""
PSEUDOSCALAR = Parameter("kappa_P", (-3.0, 3.0), symbol=r"\kappa_P", text="κ_P")
"""κ_P, 0 in the Standard Model; the phase α has κ_S = cos α, κ_P = (2/3) sin α."""


def coupling_basis(scalar: Parameter = SCALAR, pseudoscalar: Parameter = PSEUDOSCALAR) -> PolynomialBasis:
    """(1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²) of free couplings (κ_S, κ_P), for coefficients of single top + Higgs.

    The interference with M_W lets the shape alone see the size of the couplings, and the sign of κ_S.
    """
    return PolynomialBasis((scalar, pseudoscalar), ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)))
