"""The configuration of a measurement: a TOML file in which every key is known, typed and documented."""

from bmem.config.model import Config
from bmem.config.reading import load, parse
from bmem.config.sections import (
    BANK,
    EXTERNAL,
    RANGE_CALIBRATION,
    TRAINING,
    VALIDATION,
    AcceptanceSection,
    BackgroundSection,
    BeltSection,
    ConstraintSection,
    DensitySection,
    FitSection,
    NuisanceSection,
    SampleSection,
)

__all__ = [
    "BANK",
    "EXTERNAL",
    "RANGE_CALIBRATION",
    "TRAINING",
    "VALIDATION",
    "AcceptanceSection",
    "BackgroundSection",
    "BeltSection",
    "Config",
    "ConstraintSection",
    "DensitySection",
    "FitSection",
    "NuisanceSection",
    "SampleSection",
    "load",
    "parse",
]
