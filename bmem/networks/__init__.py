"""Conditional densities and classifiers."""

from bmem.networks.classifier import MLPClassifier, Reliability, reliability
from bmem.networks.contract import Classifier, ConditionalDensity, cross_entropy, negative_log_likelihood
from bmem.networks.coupling import CouplingFlow, CouplingSettings
from bmem.networks.mixture import DefensiveMixture, Uniform

__all__ = [
    "Classifier",
    "ConditionalDensity",
    "CouplingFlow",
    "CouplingSettings",
    "DefensiveMixture",
    "MLPClassifier",
    "Reliability",
    "Uniform",
    "cross_entropy",
    "negative_log_likelihood",
    "reliability",
]
