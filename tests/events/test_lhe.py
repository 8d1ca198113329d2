"""LHE files: real events are read as they are, every fault is named, and what is written can be read by others."""

import gzip
import math
import re
from collections.abc import Callable
from pathlib import Path

import pylhe
import pytest
import torch

from bmem import kinematics
from bmem.channels.thj.lhe import ThjLHE
from bmem.errors import ArtifactError, EventFileError, EventWarning, InputError
from bmem.events.lhe import LHERecord, read_lhe, write_lhe

SAMPLE = Path(__file__).parent.parent / "data" / "thj_alpha0_200.lhe.gz"
TEXT = gzip.decompress(SAMPLE.read_bytes()).decode()
HEADER, *EVENTS = re.split(r"(?=<event>\n)", TEXT.removesuffix("</LesHouchesEvents>\n"))
END = "</LesHouchesEvents>\n"


def read(path: Path, alpha: float | None = None) -> LHERecord:
    """As events of tHj; α in radians."""
    return read_lhe(path, ThjLHE(), None if alpha is None else (alpha,))


def event(number: int, change: Callable[[list[list[str]]], object]) -> str:
    """The first five events of the sample with ``change`` applied to the fields of one, counted from 1."""
    events = EVENTS[:5]
    rows = [line.split() for line in events[number - 1].splitlines()[1:-1]]
    change(rows)
    lines = [" ".join(row) for row in rows]
    events[number - 1] = "\n".join(["<event>", *lines, "</event>", ""])
    return HEADER + "".join(events) + END


def put(row: int, column: int, value: str) -> Callable[[list[list[str]]], object]:
    def change(rows: list[list[str]]) -> None:
        rows[row][column] = value

    return change


def alpha_line(text: str) -> str:
    return HEADER.replace("    1 0.0000000000000000e+00 # alphaCP", text) + "".join(EVENTS[:5]) + END


def decayed(rows: list[list[str]]) -> None:
    rows[0][0] = "7"
    rows[3][1] = "2"
    rows += [["24", *rows[4][1:]], ["5", *rows[5][1:]]]


def unbalanced(rows: list[list[str]]) -> None:
    energy = float(rows[1][9]) + 1.0
    rows[1][9] = str(energy)
    rows[1][8] = str(math.copysign(energy, float(rows[1][8])))


def heavy(rows: list[list[str]]) -> None:
    rows[3][9] = str(math.sqrt(float(rows[3][9]) ** 2 - 172.5**2 + 173.0**2))


def with_gluon(rows: list[list[str]]) -> None:
    rows[2][0] = "21"


def two_alphas() -> str:
    block = "Block cpyuk\n    1 7.8539816339744828e-01 # alphaCP\n"
    return HEADER.replace("</slha>", block + "</slha>") + "".join(EVENTS[:5]) + END


five = HEADER + "".join(EVENTS[:5]) + END
FAULTS = {
    "empty": ("", "is empty"),
    "blank": ("\n\n", "is empty"),
    "html": ("<!DOCTYPE html>\n<html><body>404</body></html>", "is an HTML page (a failed download?)"),
    "text": ("pt,eta,phi\n1,2,3\n", "does not begin with <LesHouchesEvents>"),
    "cut in the header": (TEXT[:3000], "is truncated: it ends within its header"),
    "cut in init": (HEADER[: HEADER.index("<init>") + 40], "is truncated: it ends within its <init> block"),
    "no init end": (five.replace("</init>\n", ""), "events begin before its <init> block has ended"),
    "cut in an event": (HEADER + EVENTS[0] + EVENTS[1][:300], "it ends in the middle of event 2"),
    "cut between events": (HEADER + "".join(EVENTS[:3]), "it ends after event 3 without </LesHouchesEvents>"),
    "event not closed": (HEADER + EVENTS[0].replace("</event>\n", "") + EVENTS[1] + END, "in the middle of event 1"),
    "no events": (HEADER + END, "holds no events"),
    "two files": (five + five, "goes on after </LesHouchesEvents>"),
    "a particle missing": (event(3, lambda rows: rows.pop()), "event 3 says 5 particles and holds 4"),
    "a particle too many": (event(3, lambda rows: rows.append(rows[-1])), "event 3 says 5 particles and holds 6"),
    "no lines": (event(2, lambda rows: rows.clear()), "event 2 says no particles and holds 0"),
    "a decayed top": (event(4, decayed), "event 4 holds 7 particles (5 2 6 25 1 24 5), but q b → q' t H"),
    "status 2": (event(4, put(3, 1, "2")), "event 4 has particles that have decayed (status 2)"),
    "a gluon": (event(1, with_gluon), "event 1 is not q b → q' t H"),
    "a wrong sign": (event(2, put(3, 0, "-6")), "event 2 is not q b → q' t H"),
    "a wrong charge": (event(1, put(5, 0, "4")), "event 1 is not q b → q' t H"),
    "a Z for the Higgs": (event(1, put(4, 0, "23")), "event 1 is not q b → q' t H"),
    "three outgoing swapped": (event(1, put(2, 1, "1")), "event 1 is not q b → q' t H"),
    "nan": (event(5, put(4, 6, "nan")), "event 5 holds a number that is not finite"),
    "inf weight": (event(5, put(0, 2, "inf")), "event 5 holds a number that is not finite"),
    "negative weight": (event(5, put(0, 2, "-0.06")), "event 5 has a weight that is not positive"),
    "not a number": (event(2, put(4, 6, "1.2.3")), "event 2 has a line that is not 13 numbers: '25 1 1 2 0 0 1.2.3"),
    "a column missing": (event(2, lambda rows: rows[4].pop()), "event 2 has a line that is not 13 numbers"),
    "off shell": (event(3, heavy), "event 3 has its top off the mass shell of 172.5 GeV"),
    "unbalanced": (event(3, unbalanced), "event 3 does not balance energy and momentum"),
    "transverse beam": (event(3, put(1, 6, "1.0")), "event 3 has incoming particles that do not run along ±z"),
    "both along +z": (event(3, put(2, 8, "1635.0")), "event 3 has incoming particles that do not run along ±z"),
    "above the beam": (five.replace("6.500000e+03", "1.000000e+03"), "has a parton above the beam energy 1000 GeV"),
    "electron beams": (five.replace("2212 2212", "11 -11"), "its beams are 11 at 6500 GeV and -11 at 6500 GeV"),
    "malformed init": (five.replace("4.190500e-02", "abc"), "its <init> block is malformed"),
    "a process missing": (five.replace("-4 2\n", "-4 3\n"), "its <init> block is malformed"),
    "no cross section": (
        re.sub(r"\n(4.190500e-02|2.193910e-02) ", "\n0.0 ", five),
        "the cross section in its <init> block is missing or not positive",
    ),
    "no alpha": (alpha_line(""), "its header has no α (SLHA block cpyuk, entry 1); give it in degrees: --alpha"),
    "alpha not a number": (
        alpha_line("    1 zero # alphaCP"),
        "α in its header (SLHA block cpyuk, entry 1) is not a",
    ),
    "alpha nan": (alpha_line("    1 nan # alphaCP"), "α = nan in its header is no number within ±360°; give it in degrees"),
    "alpha in degrees": (alpha_line("    1 45.0 # alphaCP"), "α = 45.0 in its header is no number within ±360°"),
    "several alphas": (two_alphas(), "its header has several α (0.0000000000000000e+00, 7.8539816339744828e-01)"),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named(tmp_path: Path, name: str, zipped: bool) -> None:
    text, message = FAULTS[name]
    path = tmp_path / ("bad.lhe.gz" if zipped else "bad.lhe")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    with pytest.raises(EventFileError, match=re.escape(message)) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_damage_of_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "bad.lhe.gz"
    packed = SAMPLE.read_bytes()
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(EventFileError, match=r"gzip stream ends early after event \d+: the file is truncated"):
        read(path)
    path.write_bytes(packed[:20000] + bytes(100) + packed[20100:])
    with pytest.raises(EventFileError, match=r"gzip stream is damaged|is truncated|event \d+"):
        read(path)
    path.write_bytes(torch.randint(0, 256, (5000,), generator=torch.Generator().manual_seed(1)).byte().numpy().tobytes())
    with pytest.raises(EventFileError, match="not an LHE file"):
        read(path)
    with pytest.raises(EventFileError, match="cannot be read"):
        read(tmp_path / "absent.lhe")
    with pytest.raises(EventFileError, match="cannot be read"):
        read(tmp_path)


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    """Used by pylhe as if it were whole: a file that ends after any line."""
    lines = five.splitlines(keepends=True)
    path = tmp_path / "cut.lhe"
    for kept in range(0, len(lines), 7):
        path.write_text("".join(lines[:kept]))
        with pytest.raises(EventFileError):
            read(path)


def test_the_first_of_several_bad_events_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.lhe"
    bad = [e.replace("1.7250000000e+02", "nan") if i in (7, 30, 31) else e for i, e in enumerate(EVENTS)]
    path.write_text(HEADER + "".join(bad) + END)
    with pytest.raises(EventFileError, match=r"event 8 \(and 2 of the 200 events read with it\) holds a number that is not"):
        read(path)


def test_the_sample() -> None:
    record = read(SAMPLE)
    assert len(record) == 200
    assert (record.theta, record.sqrt_s) == ((0.0,), 13_000.0)
    assert record.cross_section == pytest.approx(0.0638441, abs=1e-12)
    assert record.cross_section_error == pytest.approx(math.hypot(5.211120e-05, 4.304745e-05))
    assert record.momenta.dtype == torch.float64
    torch.testing.assert_close(record.weight, torch.ones(200, dtype=torch.float64))
    assert torch.all(record.momenta[:, 0, 3] > 0)
    assert torch.all(record.momenta[:, 1, 3] < 0)
    assert torch.all(record.pdg[:, 2].abs() == 6)
    assert torch.all(record.pdg[:, 3] == 25)
    masses = kinematics.mass(record.momenta)[:, 2:4]
    torch.testing.assert_close(masses, masses.new_tensor([[172.5, 125.0]]).expand(200, 2), rtol=0, atol=1e-5)


def test_the_reader_agrees_with_pylhe_on_sound_events() -> None:
    record = read(SAMPLE)
    for number, other in enumerate(pylhe.LHEFile.fromfile(SAMPLE).events):
        expected = {int(p.id): [p.e, p.px, p.py, p.pz] for p in other.particles}
        for code, momentum in zip(record.pdg[number].tolist(), record.momenta[number].tolist(), strict=True):
            assert expected[code] == momentum
    assert number == 199


def test_particles_may_come_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "shuffled.lhe"

    def shuffle(rows: list[list[str]]) -> None:
        rows[1:] = [rows[i] for i in (5, 2, 4, 1, 3)]

    path.write_text(event(1, shuffle))
    assert torch.equal(read(path).momenta, read(SAMPLE).momenta[:5])


def test_optional_blocks_and_comments_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "blocks.lhe"
    extra = "# a comment\n<mgrwt>\n<rscale> 0 1.48e2 </rscale>\n</mgrwt>\n<rwgt>\n<wgt id='1'> 1 </wgt>\n</rwgt>\n</event>"
    path.write_text('<?xml version="1.0"?>\n' + five.replace("</event>", extra).replace("<event>", '<event npLO="0">'))
    assert torch.equal(read(path).momenta, read(SAMPLE).momenta[:5])


def test_a_given_alpha_fills_in_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "alpha.lhe"
    for name in ("no alpha", "alpha not a number", "several alphas"):
        path.write_text(FAULTS[name][0])
        assert read(path, alpha=0.5).theta == (0.5,)
    assert read(SAMPLE, alpha=-1.0).theta == (-1.0,)
    with pytest.raises(InputError, match="within ±360°; give it in degrees"):
        read(SAMPLE, alpha=45.0)


def test_other_masses_on_request(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match=r"event 1 \(and 199 of the 200 .* top off the mass shell of 173 GeV"):
        read_lhe(SAMPLE, ThjLHE(top=173.0))


@pytest.mark.parametrize("name", ["out.lhe", "out.lhe.gz"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    record = read(SAMPLE, alpha=0.3)
    write_lhe(tmp_path / name, record, ThjLHE())
    again = read(tmp_path / name)
    assert torch.equal(again.momenta, record.momenta)
    assert torch.equal(again.pdg, record.pdg)
    torch.testing.assert_close(again.weight, record.weight, rtol=1e-14, atol=0)
    assert again.scale is not None
    assert record.scale is not None
    assert torch.equal(again.scale, record.scale)
    assert (again.theta, again.cross_section, again.sqrt_s) == ((0.3,), record.cross_section, record.sqrt_s)
    first = (tmp_path / name).read_bytes()
    write_lhe(tmp_path / name, record, ThjLHE())
    assert (tmp_path / name).read_bytes() == first


def test_a_mixture_over_alpha_is_written_without_one(tmp_path: Path) -> None:
    record = read(SAMPLE)[:20]
    mixed = LHERecord(record.momenta, record.pdg, record.weight, None, record.cross_section)
    write_lhe(tmp_path / "mixed.lhe", mixed, ThjLHE())
    with pytest.raises(EventFileError, match="its header has no α"):
        read(tmp_path / "mixed.lhe")
    assert read(tmp_path / "mixed.lhe", alpha=0.0).scale.tolist() == 20 * [148.75]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = read(SAMPLE)
    path = tmp_path / "out.lhe.gz"
    write_lhe(path, record, ThjLHE())
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gzip.GzipFile, "write", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        write_lhe(path, record, ThjLHE())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_colour_flows_from_beam_to_final_state(tmp_path: Path) -> None:
    record = read(SAMPLE)
    write_lhe(tmp_path / "out.lhe", record, ThjLHE())
    for written, real in zip(
        pylhe.LHEFile.fromfile(tmp_path / "out.lhe").events, pylhe.LHEFile.fromfile(SAMPLE).events, strict=True
    ):
        assert _connections(written) == _connections(real)
        assert [int(p.mother1) for p in written.particles] == [0, 0, 1, 1, 1]
        assert [int(p.mother2) for p in written.particles] == [0, 0, 2, 2, 2]


def _connections(event: pylhe.LHEEvent) -> set[tuple[int, str, int]]:
    """(incoming code, which end, outgoing code) of each colour line."""
    ends = [(int(p.status), int(p.id), int(p.color1), int(p.color2)) for p in event.particles]
    return {
        (code_in, end, code_out)
        for status_in, code_in, *colours_in in ends
        for status_out, code_out, *colours_out in ends
        for end, a, b in zip(("colour", "anticolour"), colours_in, colours_out, strict=True)
        if status_in == -1 and status_out == 1 and a == b > 0
    }


def test_pythia_reads_what_is_written(tmp_path: Path) -> None:
    pythia8 = pytest.importorskip("pythia8mc")
    record = read(SAMPLE)
    write_lhe(tmp_path / "out.lhe.gz", record, ThjLHE())
    pythia = pythia8.Pythia("", False)
    for setting in ("Print:quiet = on", "Beams:frameType = 4", f"Beams:LHEF = {tmp_path / 'out.lhe.gz'}"):
        assert pythia.readString(setting)
    # Pythia would give massless charm quarks its own mass and rescale the event
    for setting in ("PartonLevel:MPI = off", "HadronLevel:all = off", "LesHouches:setQuarkMass = 0"):
        assert pythia.readString(setting)
    assert pythia.init()
    for momenta, pdg in zip(record.momenta.tolist(), record.pdg.tolist(), strict=True):
        assert pythia.next()
        hard = [pythia.process[i] for i in range(3, 8)]
        assert [p.id() for p in hard] == pdg
        for particle, expected in zip(hard, momenta, strict=True):
            assert [particle.e(), particle.px(), particle.py(), particle.pz()] == pytest.approx(expected, abs=1e-4)
    assert not pythia.next()
    assert pythia.infoPython().atEndOfFile()


def test_20_000_events_are_read_and_repetitions_told(tmp_path: Path) -> None:
    path = tmp_path / "many.lhe.gz"
    with gzip.open(path, "wt", compresslevel=1) as stream:
        stream.write(HEADER + 100 * "".join(EVENTS) + END)
    with pytest.warns(EventWarning, match="19800 of 20000 events are there more than once"):
        record = read(path)
    assert len(record) == 20_000
    assert torch.equal(record.momenta[-200:], read(SAMPLE).momenta)
