"""Execute the notebooks of this folder in place, so that the pages show what they print: ``python execute.py [FILE]...``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
_KEPT = {"kernelspec", "language_info"}


def executed(path: Path) -> Any:
    """The notebook with new outputs; its files go to a folder of their own, which is thrown away.

    Raises:
        CellExecutionError: a cell does.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [_shown(output) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {key: value for key, value in notebook.metadata.items() if key in _KEPT}
    return notebook


def _shown(output: Any) -> Any:
    """Without the text that stands in for what a browser shows."""
    if "data" in output and len(output.data) > 1:
        output.data.pop("text/plain", None)
    return output


def main() -> None:
    """All of them, or those that are named."""
    for path in map(Path, sys.argv[1:]) if len(sys.argv) > 1 else sorted(HERE.glob("*.ipynb")):
        nbformat.write(executed(path), path)
        print(path)


if __name__ == "__main__":
    main()
