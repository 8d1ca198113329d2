"""Results for others: tables as CSV and LaTeX, a submission to HEPData, and the likelihood itself as a workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bmem.errors import InputError
from bmem.measurement.exports import csv, hepdata, latex, workspace
from bmem.measurement.record import Measurement

_WRITERS: dict[str, Callable[[Mapping[str, Measurement], Path], list[Path]]] = {
    "csv": csv.write,
    "latex": latex.write,
    "hepdata": hepdata.write,
    "workspace": workspace.write,
}
FORMATS = tuple(_WRITERS)


def export(results: Mapping[str, Measurement], folder: Path | str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write measurements in other programs' formats; files of earlier exports are replaced.

    Args:
        results: measurements by the name of the sample; a "workspace" needs what was fitted, so none that was read from a
            file.
        folder: of the files; it is made if need be.
        formats: any of ``FORMATS``.

    Returns:
        The files.

    Raises:
        InputError: an unknown format, no measurement, a name that cannot be that of a file, or a measurement without its
            events.
        MissingExtraError: "hepdata" needs the extra of this name.
        ArtifactError: the folder cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"export: no format {unknown[0]!r}; there are {', '.join(FORMATS)}")
    if not results:
        raise InputError("export: there is no measurement; give at least one by the name of its sample")
    odd = [name for name in results if not name or set(name) & set("/\\\0")]
    if odd:
        raise InputError(f"export: {odd[0]!r} cannot be part of a file name; give the measurement another name")
    return [path for name in formats for path in _WRITERS[name](results, Path(folder))]
