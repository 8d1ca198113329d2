"""bmem: the matrix element method with learned densities, and with uncertainties that can be trusted."""

from typing import TYPE_CHECKING

from bmem.lazy import exports

if TYPE_CHECKING:
    from bmem.chain import Chain, measure
    from bmem.channels.contract import Channel
    from bmem.likelihood.coefficients import Coefficients
    from bmem.measurement import Measurement
    from bmem.measurement.exports import export
    from bmem.results import load

__version__ = "0.1.0"

__all__ = ["Chain", "Channel", "Coefficients", "Measurement", "__version__", "export", "load", "measure"]

__getattr__ = exports(
    __name__,
    {
        "chain": "Chain measure",
        "channels.contract": "Channel",
        "likelihood.coefficients": "Coefficients",
        "measurement": "Measurement",
        "measurement.exports": "export",
        "results": "load",
    },
)
"""The names that a notebook needs; what they are in is loaded when one is asked for."""


def __dir__() -> list[str]:
    return __all__
