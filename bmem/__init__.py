"""bmem: the matrix element method with learned densities, and with uncertainties that can be trusted."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {"Channel": "bmem.channels.contract", "Coefficients": "bmem.likelihood.coefficients"}
"""The names that a notebook needs, and the modules that are imported when one is asked for."""

__all__ = ["Channel", "Coefficients", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bmem' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
