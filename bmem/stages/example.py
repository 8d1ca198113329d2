"""``bmem example``: a few events in every format that bmem reads, made by bmem itself."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import pyarrow.parquet as pq
import torch

from bmem.channels.contract import Channel
from bmem.errors import ArtifactError
from bmem.events.columns import to_table
from bmem.events.root import BRANCHES
from bmem.rng import generator


def write_example(folder: Path, channel: Channel, events: int = 2000, seed: int = 1) -> list[Path]:
    """Write observed events (before the selection) as ``data.parquet`` and, where uproot is installed, ``data.root``.

    They are simulated at a third of the upper bound of each parameter, from ``events`` hard events.

    Raises:
        ArtifactError: one of the files is there already.
    """
    folder = Path(folder)
    paths = [folder / "data.parquet", folder / "data.root"]
    for path in paths:
        if path.exists():
            raise ArtifactError(f"{path}: is there, and is not replaced; choose another folder")
    theta = torch.tensor([p.bounds[1] / 3 for p in channel.process.parameters], dtype=torch.float64)
    hard = channel.process.sample(events, theta, generator(seed, "example", "hard"))
    reco = channel.response(hard, generator(seed, "example", "response"))
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(to_table(reco), paths[0])
    try:
        import uproot
    except ImportError:
        return paths[:1]
    columns = {
        branch: ak.unflatten(objects.feature(feature)[objects.mask].numpy(), objects.mask.sum(1).numpy())
        for name, objects in reco.collections.items()
        for feature, branch in BRANCHES[name].items()
    }
    with uproot.recreate(paths[1]) as file:
        kinds = {name: values.type.content for name, values in columns.items()}
        file.mktree("events", kinds).extend(columns)
    return paths
