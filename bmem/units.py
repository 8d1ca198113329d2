"""Units and constants: energies in GeV, cross sections in pb, angles in radians."""

from __future__ import annotations

GEV2_PB = 0.3893793721e9
"""(ħc)² in pb GeV²: multiplies a cross section in GeV⁻² to give pb."""
