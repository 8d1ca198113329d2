"""The couplings of the top quark themselves as parameters: the same integrals I_k, another basis.

The amplitude is M_W + κ_S M_S + κ_P M_P with M_W fixed by the gauge couplings, so the components of the cross section do not
change when κ_S and κ_P are free instead of tied to the phase α, and nothing has to be integrated again.
"""

from __future__ import annotations

from bmem.likelihood.basis import MorphingBasis
from bmem.process.amplitudes import monomials
from bmem.process.contract import Parameter

SCALAR = Parameter("kappa_s", (-3.0, 3.0))
"""κ_S, 1 in the Standard Model."""
PSEUDOSCALAR = Parameter("kappa_p", (-3.0, 3.0))
"""κ_P, 0 in the Standard Model; the phase α has κ_S = cos α, κ_P = (2/3) sin α."""


def coupling_basis(scalar: Parameter = SCALAR, pseudoscalar: Parameter = PSEUDOSCALAR) -> MorphingBasis:
    """(1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²) of free couplings (κ_S, κ_P), for coefficients of single top + Higgs.

    The interference with M_W lets the shape alone see the size of the couplings, and the sign of κ_S.
    """
    return MorphingBasis((scalar, pseudoscalar), lambda theta: monomials(theta[..., 0], theta[..., 1]))
