"""Conditional densities and classifiers."""

from bmem.networks.contract import Classifier, ConditionalDensity
from bmem.networks.coupling import CouplingFlow, CouplingSettings

__all__ = ["Classifier", "ConditionalDensity", "CouplingFlow", "CouplingSettings"]
