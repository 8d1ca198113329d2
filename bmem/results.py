"""What a run has left, by its files: events, coefficients, measurements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bmem.artifacts import read_header
from bmem.errors import ArtifactError
from bmem.events import parquet
from bmem.events.columns import Events
from bmem.likelihood import coefficients
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement, record

Result = Events | Coefficients | Measurement
_READERS: dict[str, Callable[[Path], Result]] = {
    parquet.KIND: parquet.read_any,
    coefficients.KIND: Coefficients.load,
    record.KIND: Measurement.load,
}


def load(path: Path | str) -> Result:
    """The events, the coefficients or the measurement in a file of a run.

    Raises:
        ArtifactError: it is missing, damaged, of a newer format, or of another kind.
    """
    path = Path(path)
    kind = read_header(path).kind
    if kind not in _READERS:
        raise ArtifactError(f"{path}: holds {kind!r}; what can be loaded by its file alone: {', '.join(_READERS)}")
    return _READERS[kind](path)
