"""bmem: the matrix element method with learned densities, and with uncertainties that can be trusted."""

__version__ = "0.1.0"
