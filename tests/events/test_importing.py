"""One reader for every format: told by content, then by name."""

import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bmem.channels.thj.lhe import ThjLHE
from bmem.errors import ArtifactError, EventFileError
from bmem.events import parquet
from bmem.events.importing import read_events
from bmem.events.lhe import LHERecord
from bmem.events.record import PairedEvents, RecoEvents

SAMPLE = Path(__file__).parent.parent / "data" / "thj_alpha0_200.lhe.gz"


@pytest.mark.parametrize("name", ["a.lhe.gz", "a.lhe", "a.dat", "a"])
@pytest.mark.parametrize("zipped", [False, True])
def test_lhe_whatever_its_name(tmp_path: Path, name: str, zipped: bool) -> None:
    content = SAMPLE.read_bytes()
    (tmp_path / name).write_bytes(content if zipped else gzip.decompress(content))
    events = read_events(tmp_path / name, ThjLHE(), (0.5,))
    assert isinstance(events, LHERecord)
    assert (len(events), events.theta) == (200, (0.5,))


def test_parquet_with_and_without_header(tmp_path: Path, pairs: Callable[[int], PairedEvents]) -> None:
    path = tmp_path / "p.parquet"
    parquet.write_pairs(path, pairs(30))
    assert isinstance(read_events(path), PairedEvents)
    shutil.copy(path, tmp_path / "renamed")
    assert isinstance(read_events(tmp_path / "renamed"), PairedEvents)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="checksum differs"):
        read_events(path)


def test_root(tmp_path: Path, reco: RecoEvents) -> None:
    uproot = pytest.importorskip("uproot")
    with uproot.recreate(tmp_path / "d.root") as file:
        file.mktree("other", {"x": "float64"})
    with pytest.raises(EventFileError, match="there is no tree 'events'; its trees: other"):
        read_events(tmp_path / "d.root")


@pytest.mark.parametrize("name", ["a.txt", "a.hepmc", "a"])
@pytest.mark.parametrize("content", [b"", b"pt,eta\n1,2\n", bytes(range(256))], ids=["empty", "text", "junk"])
def test_unknown_formats(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = f"{path}: not an event file that bmem reads; supported formats: .lhe, .lhe.gz, .parquet, .root"
    with pytest.raises(EventFileError, match=re.escape(message)):
        read_events(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.lhe", "is an HTML page"),
        ("a.lhe.gz", "is an HTML page"),
        ("a.parquet", "not a readable Parquet"),
        ("a.ROOT", "ROOT"),
    ],
)
def test_a_failed_download_is_named_by_the_reader_of_its_suffix(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"<html><body>404 Not Found</body></html>\n")
    with pytest.raises(EventFileError, match=message):
        read_events(tmp_path / name, ThjLHE())


def test_absent_files(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="cannot be read"):
        read_events(tmp_path / "absent.lhe")
