"""Conditional densities and classifiers."""

from typing import TYPE_CHECKING

from bmem.lazy import exports

if TYPE_CHECKING:
    from bmem.networks.classifier import MLPClassifier, Reliability, reliability
    from bmem.networks.classifiers.perceptron import PerceptronSettings
    from bmem.networks.contract import Classifier, ConditionalDensity, cross_entropy, negative_log_likelihood
    from bmem.networks.coupling import CouplingFlow
    from bmem.networks.densities.coupling import CouplingSettings
    from bmem.networks.mixture import DefensiveMixture, Uniform

__all__ = [
    "Classifier",
    "ConditionalDensity",
    "CouplingFlow",
    "CouplingSettings",
    "DefensiveMixture",
    "MLPClassifier",
    "PerceptronSettings",
    "Reliability",
    "Uniform",
    "cross_entropy",
    "negative_log_likelihood",
    "reliability",
]

__getattr__ = exports(
    __name__,
    {
        "classifier": "MLPClassifier Reliability reliability",
        "classifiers.perceptron": "PerceptronSettings",
        "contract": "Classifier ConditionalDensity cross_entropy negative_log_likelihood",
        "coupling": "CouplingFlow",
        "densities.coupling": "CouplingSettings",
        "mixture": "DefensiveMixture Uniform",
    },
)
