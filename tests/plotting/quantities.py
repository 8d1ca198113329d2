"""An angle as it is written."""

import math

from bmem.quantity import Quantity

ALPHA = Quantity("alpha", r"\alpha", "deg", 180 / math.pi)
