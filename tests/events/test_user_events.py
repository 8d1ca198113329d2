"""What people bring: each case that bmem 0.1.0 got wrong, and its kind.

| case | test |
|---|---|
| initrwgt_in_header.lhe | test_generators_habits |
| powheg_line_after_close.lhe | test_generators_habits |
| alpha_in_other_block.lhe | test_alpha_elsewhere_is_asked_for_in_degrees |
| overwriting_import.sh | test_import_replaces_nothing_that_it_did_not_make, test_two_sources_of_one_name |
| rntuple_named_events.root | test_rntuple |
| jet_mass_slightly_negative.parquet | test_rounding_of_masses |
| btag_is_a_score.parquet | test_a_score_is_no_flag |
| btag_scalar_per_event.py | test_one_number_per_event_among_vectors |
| flat_likelihood_without_resamples.py | tests/stages/test_flat.py |
| two_seeds_one_folder.sh, small_run.toml | the lock of --out, with the products (not in this folder) |
| PYTHONIOENCODING=ascii | tests/test_console.py |
| read_root(branches={"photon": ...}) | test_wrong_keys_of_branches |
"""

from __future__ import annotations

import io
import math
import re
import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

from bmem import artifacts
from bmem.channels import load_channel
from bmem.channels.thj.lhe import ThjLHE
from bmem.errors import ArtifactError, EventFileError, EventWarning, InputError
from bmem.events import parquet
from bmem.events.importing import left_out
from bmem.events.lhe import LHERecord, read_lhe, write_lhe
from bmem.events.lhe_content import Codes, LHEContent, Mask, SLHAParameter
from bmem.events.observed import FEATURES
from bmem.events.record import RecoEvents
from bmem.events.root import BRANCHES, Above, from_root, nanoaod, read_root
from bmem.events.tables import from_awkward, from_pandas
from bmem.quantity import Quantity
from bmem.stages.imports import import_file, parameter_options

DATA = Path(__file__).parents[1] / "data"
USER = DATA / "user_events"


class Imports:
    """``bmem import`` with what it said."""

    def __init__(self) -> None:
        self.console, self.channel = Console(file=io.StringIO(), soft_wrap=True), load_channel("thj")

    def __call__(self, file: Path, out: Path, **given: float) -> Path:
        return import_file(file, out, self.channel, given, self.console)

    @property
    def said(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()


@pytest.fixture
def imports() -> Imports:
    return Imports()


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- LHE ---------------------------------------------------------------------------------------------------------------

TEXT = (USER / "initrwgt_in_header.lhe").read_text(encoding="utf-8")
PLAIN = re.sub(r"<initrwgt>.*</initrwgt>\n", "", TEXT, flags=re.DOTALL)
HABITS = {
    "systematics of MadGraph": TEXT,
    "POWHEG": (USER / "powheg_line_after_close.lhe").read_text(encoding="utf-8"),
    "tags in comments": PLAIN.replace("<init>", "<!-- <init> and <event>\n</init> --><!-- one more -->\n# <event>\n<init>"),
    "tags in CDATA": PLAIN.replace("<slha>", "<MG5ProcCard>\n<![CDATA[\n<init>\n<event>\n]]>\n</MG5ProcCard>\n<slha>"),
    "tags of the header's own": PLAIN.replace("<slha>", "<event>\n5 1\n</event>\n<init>\n</init>\n<slha>"),
    "blocks of aMC@NLO": PLAIN.replace(
        "</event>",
        "#aMCatNLO 2 5 3 3 4 0.1E+03\n<scales muf='1' mur='2'> </scales>\n<clustering>\n 1 2\n</clustering>\n</event>",
    ),
    "attributes and trials of Sherpa": PLAIN.replace("<event>", "<event trials='3' npLO=' 0 ' npNLO=' -1 '>"),
    "a comment in an event": PLAIN.replace("<mgrwt>", "<!--\n 5 1 2\n</event>\n-->\n<mgrwt>"),
    "lines of LHE 1": PLAIN.replace("<mgrwt>", "free text of the generator\n<mgrwt>"),
    "init of LHE 3": PLAIN.replace("</init>", "<xsecinfo neve='2' totxsec='0.08'/>\n# free text\n</init>"),
    "Fortran's exponents": PLAIN.replace("+8.7720700e-02 1.48750000e+02", "+8.7720700D-02 1.48750000D+02"),
    "carriage returns": PLAIN.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", HABITS)
def test_generators_habits(tmp_path: Path, name: str) -> None:
    expected = read_lhe(put(tmp_path / "plain.lhe", PLAIN), ThjLHE())
    record = read_lhe(put(tmp_path / "events.lhe", HABITS[name]), ThjLHE())
    assert torch.equal(record.momenta, expected.momenta)
    assert record.theta == (math.pi / 4,)
    assert record.cross_section == pytest.approx(0.0877207)


def test_alpha_elsewhere_is_asked_for_in_degrees(tmp_path: Path, imports: Imports) -> None:
    file = USER / "alpha_in_other_block.lhe"
    with pytest.raises(
        EventFileError, match=r"no α.*give it in degrees: --alpha of bmem import, or alpha of the \[\[sample"
    ):
        imports(file, tmp_path)
    hard = parquet.read_hard(imports(file, tmp_path, alpha=45.0))
    torch.testing.assert_close(hard.theta, torch.full((2, 1), math.pi / 4, dtype=torch.float64))
    assert "2 events at α = 45°, all checked" in imports.said
    with pytest.raises(InputError, match="α = 450° is no number within ±360°"):
        imports(file, tmp_path / "other", alpha=450.0)


class TthLHE(LHEContent):
    """q q̄, g g → t t̄ H."""

    def outgoing(self, pdg: Codes) -> Any:
        return np.where(pdg == 6, 0, np.where(pdg == -6, 1, 2))

    def holds(self, pdg: Codes) -> Mask:
        return (pdg[:, 2:] == [6, -6, 25]).all(axis=1)

    def colours(self, pdg: Codes) -> Codes:
        return np.zeros((*pdg.shape, 2), dtype=np.int64)


ALPHA = SLHAParameter(Quantity("alpha", r"\alpha", "deg", 180 / math.pi, "α"), "cpyuk")
TTH = TthLHE("t t̄ H", ("a", "b", "top", "antitop", "Higgs boson"), (0, 0, 172.5, 172.5, 125.0), "generate t t~ h", (ALPHA,))


def test_another_process(tmp_path: Path) -> None:
    file = DATA / "tth_alpha0_200.lhe.gz"
    record = read_lhe(file, TTH)
    assert record.momenta.shape == (200, 5, 4)
    assert record.pdg[0, 2:].tolist() == [6, -6, 25]
    assert record.theta == (0.0,)
    write_lhe(tmp_path / "again.lhe", record, TTH)
    assert torch.equal(read_lhe(tmp_path / "again.lhe", TTH).momenta, record.momenta)
    with pytest.raises(EventFileError, match=r"event 1 .* is not q b → q' t H"):
        read_lhe(file, ThjLHE())


class PairLHE(LHEContent):
    """g g → φ φ, with what is radiated."""

    def outgoing(self, pdg: Codes) -> Any:
        return np.where(pdg == 9_000_001, 0, np.where(pdg == 9_000_002, 1, 2))

    def holds(self, pdg: Codes) -> Mask:
        return (pdg[:, 2:4] == [9_000_001, 9_000_002]).all(axis=1)

    def colours(self, pdg: Codes) -> Codes:
        return np.zeros((*pdg.shape, 2), dtype=np.int64)


MADE_UP = PairLHE(
    "g g → φ φ",
    ("a", "b", "φ1", "φ2"),
    (0, 0, 30.0, 40.0),
    "ask Tom",
    (SLHAParameter(Quantity("mu", r"\mu"), "dark", 3),),
    1,
)


def made_up(radiated: bool) -> tuple[list[list[float]], list[int]]:
    """An event at rest: two masses back to back, perhaps with a gluon that balances them along the beam."""
    p = 50.0
    rows = [[math.hypot(p, 30.0), p, 0.0, 0.0], [math.hypot(p, 40.0), -p, 0.0, 0.0]]
    codes = [21, 21, 9_000_001, 9_000_002]
    if radiated:
        rows.append([20.0, 0.0, 0.0, 20.0])
        codes.append(21)
    energy, pz = sum(r[0] for r in rows), sum(r[3] for r in rows)
    plus, minus = (energy + pz) / 2, (energy - pz) / 2
    return [[plus, 0.0, 0.0, plus], [minus, 0.0, 0.0, -minus], *rows], codes


def test_particles_that_vary_in_number(tmp_path: Path) -> None:
    lines = []
    for radiated in (False, True, False):
        rows, codes = made_up(radiated)
        lines += ["<event>", f"{len(rows)} 1 1.0 100.0 -1 -1"]
        for i, (code, (e, x, y, z)) in enumerate(zip(codes, rows, strict=True)):
            lines.append(f"{code} {-1 if i < 2 else 1} 0 0 0 0 {x!r} {y!r} {z!r} {e!r} 0 0 9")
        lines.append("</event>")
    init = "<init>\n2212 2212 6500 6500 0 0 0 0 3 1\n2.0 0.1 2.0 1\n</init>\n"
    header = "<LesHouchesEvents version='1.0'>\n<header>\nBLOCK DARK\n 3 0.25 # mu\n</header>\n"
    file = put(tmp_path / "e.lhe", header + init + "\n".join(lines) + "\n</LesHouchesEvents>\n")
    with pytest.warns(EventWarning, match="event 3 is event 1 again"):
        record = read_lhe(file, MADE_UP)
    assert record.pdg.tolist() == [[21, 21, 9_000_001, 9_000_002, c] for c in (0, 21, 0)]
    assert record.momenta[:, 4, 0].tolist() == [0.0, 20.0, 0.0]
    assert record.theta == (0.25,)
    with pytest.raises(InputError, match="the record has 5 particles"):
        write_lhe(tmp_path / "f.lhe", record, MADE_UP)
    with pytest.raises(InputError, match=r"differ|shape"):
        LHERecord(record.momenta, record.pdg[:, :4], record.weight, None, 1.0)


# --- import ------------------------------------------------------------------------------------------------------------


def test_two_sources_of_one_name(tmp_path: Path, imports: Imports) -> None:
    for run, alpha in (("run_01", "7.8"), ("run_02", "8.0")):
        (tmp_path / run).mkdir()
        put(tmp_path / run / "unweighted_events.lhe", PLAIN.replace("    1 7.8", f"    1 {alpha}"))
    first = imports(tmp_path / "run_01" / "unweighted_events.lhe", tmp_path / "in")
    before = first.read_bytes()
    imports(tmp_path / "run_01" / "unweighted_events.lhe", tmp_path / "in")
    with pytest.raises(ArtifactError, match=r"was imported from another file of that name, or with other parameters"):
        imports(tmp_path / "run_02" / "unweighted_events.lhe", tmp_path / "in")
    with pytest.raises(ArtifactError, match="other parameters"):
        imports(tmp_path / "run_01" / "unweighted_events.lhe", tmp_path / "in", alpha=1.0)
    assert first.read_bytes() == before


def test_import_replaces_nothing_that_it_did_not_make(tmp_path: Path, imports: Imports) -> None:
    array = ak.from_parquet(USER / "jet_mass_slightly_negative.parquet")
    own = tmp_path / "mine.parquet"
    ak.to_parquet(ak.with_field(array, np.arange(len(array)), "run"), own)
    before = own.read_bytes()
    with pytest.raises(ArtifactError, match="is the file to import itself"):
        imports(own, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path / "elsewhere" / "mine.parquet", "something dear")
    with pytest.raises(ArtifactError, match="'bmem import' did not make it"):
        imports(own, tmp_path / "elsewhere")
    put(tmp_path / "mine.v2.parquet.json", "{}")
    shutil.copy(own, tmp_path / "in.lhe")
    assert own.read_bytes() == before
    imports(own, tmp_path / "in")
    assert "masses are negative by rounding (down to -0.0195 GeV) and read as 0" in imports.said
    assert "4 events, all checked; left out: run" in imports.said
    assert not artifacts.exists(own)


def test_only_a_known_suffix_is_cut_off(tmp_path: Path, imports: Imports) -> None:
    for name, expected in {"thj.13TeV.lhe": "thj.13TeV", "a.b": "a.b", "X.LHE": "X"}.items():
        assert imports(put(tmp_path / name, PLAIN), tmp_path / "in").name == f"{expected}.parquet"


def test_options_are_the_parameters_of_the_channel() -> None:
    parameters = load_channel("thj").process.parameters
    assert parameter_options(["a.lhe", "--alpha", "-45"], parameters) == (["a.lhe"], {"alpha": -45.0})
    assert parameter_options(["--alpha=45", "a.lhe"], parameters) == (["a.lhe"], {"alpha": 45.0})
    with pytest.raises(InputError, match=r"unknown option --alhpa; did you mean --alpha?"):
        parameter_options(["a.lhe", "--alhpa", "1"], parameters)
    with pytest.raises(InputError, match="--alpha x: not a number"):
        parameter_options(["a.lhe", "--alpha", "x"], parameters)


def test_parameters_of_observed_events_are_refused(tmp_path: Path, imports: Imports) -> None:
    with pytest.raises(InputError, match="for LHE events alone; leave out --alpha"):
        imports(USER / "jet_mass_slightly_negative.parquet", tmp_path, alpha=3.0)


# --- columns -----------------------------------------------------------------------------------------------------------


def sound() -> Any:
    """Four events as an awkward array, without the fault of the case."""
    array = ak.from_parquet(USER / "jet_mass_slightly_negative.parquet")
    return with_jets(array, mass=abs(array.jets.mass))


def with_jets(array: Any, **columns: Any) -> Any:
    jets = array.jets
    for name, values in columns.items():
        jets = ak.with_field(jets, values, name)
    return ak.with_field(array, jets, "jets")


def flat(array: Any, names: Any = BRANCHES) -> dict[str, Any]:
    """A branch for each feature."""
    return {branch: array[name][feature] for name, features in names.items() for feature, branch in features.items()}


def root(path: Path, columns: dict[str, Any], tree: str = "events") -> Path:
    uproot = pytest.importorskip("uproot")
    kinds = {k: (v.type.content if isinstance(v, ak.Array) else v.dtype) for k, v in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree(tree, kinds).extend(columns)
    return path


def test_a_score_is_no_flag() -> None:
    with pytest.raises(
        EventFileError, match=re.escape("jets[0].btag = 0.48 must be 0 or 1; cut a score to a flag: btag = sc")
    ):
        parquet.import_parquet(USER / "btag_is_a_score.parquet")


def test_rounding_of_masses() -> None:
    with pytest.warns(EventWarning, match=r"jets: 4 masses are negative by rounding \(down to -0.0195 GeV\) and read as 0"):
        events = parquet.import_parquet(USER / "jet_mass_slightly_negative.parquet")
    assert isinstance(events, RecoEvents)
    assert float(events.jets.feature("mass").min()) == 0.0
    with pytest.raises(EventFileError, match="mass = -5 must be in GeV and not negative"):
        from_awkward(with_jets(sound(), mass=-5.0 + 0 * sound().jets.mass))


def test_momenta_that_no_collider_gives() -> None:
    array = sound()
    with pytest.raises(EventFileError, match=r"is an energy of .* GeV, and a beam has 7000 GeV; the column looks like MeV"):
        from_awkward(with_jets(array, pt=1000 * array.jets.pt))
    one = ak.where(array.jets.pt == ak.max(array.jets.pt), 9000.0, array.jets.pt)
    with pytest.raises(EventFileError, match="a beam has 7000 GeV; correct or drop the event"):
        from_awkward(with_jets(array, pt=one))


def test_repeated_events_are_told() -> None:
    array = sound()
    with pytest.warns(EventWarning, match=r"4 of 8 events are there more than once \(event 5 is event 1 again"):
        events = from_awkward(ak.concatenate([array, array]))
    assert len(events) == 8


def test_one_number_per_event_among_vectors(tmp_path: Path) -> None:
    columns = flat(sound()) | {"jet_btag": np.array([1, 2, 1, 1], dtype=np.int32)}
    with pytest.raises(
        EventFileError, match="branch jet_btag is int32 per event, expected a vector with one number for each"
    ):
        read_root(root(tmp_path / "scalar.root", columns))


def test_rntuple(tmp_path: Path) -> None:
    pytest.importorskip("uproot")
    events = read_root(USER / "rntuple_named_events.root")
    assert len(events) == 4
    assert events.jets.names == FEATURES["jets"]


def test_an_rntuple_that_uproot_cannot_read_is_named() -> None:
    class RNTuple:
        def keys(self) -> list[str]:
            return list(flat(sound()))

        def arrays(self, names: list[str]) -> Any:
            raise NotImplementedError(names)

    with pytest.raises(EventFileError, match=r"is an RNTuple that this version of uproot cannot read .* update uproot"):
        from_root(RNTuple())


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        ({"photon": {}, "jets": {}}, "branches: unknown key 'photon'; did you mean 'photons'?"),
        ({"jets": BRANCHES["jets"]}, "branches: the keys photons are missing"),
        (
            {**BRANCHES, "jets": {**BRANCHES["jets"], "b_tag": "x"}},
            "branches['jets']: unknown key 'b_tag'; did you mean 'btag'?",
        ),
        ({**BRANCHES, "photons": {"pt": "a", "eta": "b", "phi": "c"}}, "branches['photons']: the keys isolated are missing"),
    ],
)
def test_wrong_keys_of_branches(branches: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_root(Path("any.root"), branches=branches)


def test_nanoaod(tmp_path: Path) -> None:
    names = nanoaod(btag_cut=0.3)
    assert names["photons"]["pt"] == "Photon_pt"
    assert names["jets"]["btag"] == Above("Jet_btagDeepFlavB", 0.3)
    array = sound()
    plain = {n: {f: b.branch if isinstance(b, Above) else b for f, b in fs.items()} for n, fs in names.items()}
    columns = flat(array, plain) | {"Jet_btagDeepFlavB": 0.9 * array.jets.btag + 0.05, "MET_pt": np.arange(4.0)}
    path = root(tmp_path / "nano.root", columns, tree="Events")
    events = read_root(path, "Events", names)
    torch.testing.assert_close(events.jets.features, from_awkward(array).jets.features)
    with pytest.raises(EventFileError, match=re.escape("its trees: Events (NanoAOD? read_root(path, 'Events', nanoaod(")):
        read_root(path)


def test_what_is_left_out_of_a_tree(tmp_path: Path) -> None:
    path = root(tmp_path / "d.root", flat(sound()) | {"met": np.arange(4.0)})
    assert left_out(path, read_root(path)) == ["met"]


def test_what_is_left_out_of_parquet(tmp_path: Path) -> None:
    array = ak.with_field(with_jets(sound(), area=sound().jets.pt), np.arange(4), "run")
    ak.to_parquet(array, tmp_path / "d.parquet")
    assert left_out(tmp_path / "d.parquet", parquet.import_parquet(tmp_path / "d.parquet")) == ["run", "jets.area"]


def test_awkward_and_pandas_nested_and_flat() -> None:
    array = sound()
    events = from_awkward(array)
    nested = pd.DataFrame({name: ak.to_list(array[name]) for name in array.fields})
    frames = {name: ak.to_dataframe(array[name]) for name in array.fields}
    for other in (from_pandas(nested), from_pandas(frames)):
        assert torch.equal(other.jets.features, events.jets.features)
        assert torch.equal(other.photons.features, events.photons.features)
    without = {**frames, "jets": frames["jets"].drop(index=2, level=0)}
    assert from_pandas(without).jets.mask.sum(1).tolist() == [4, 4, 0, 4]


def test_missing_columns_are_guessed() -> None:
    array = sound()
    with pytest.raises(InputError, match=r"column 'photons' is missing; did you mean 'photon'?"):
        from_awkward(ak.zip({"photon": array.photons, "jets": array.jets}, depth_limit=1))
    frames = {name: ak.to_dataframe(array[name]) for name in array.fields}
    with pytest.raises(InputError, match="column 'btag' of jets is missing"):
        from_pandas({**frames, "jets": frames["jets"].drop(columns="btag")})
    with pytest.raises(InputError, match=r"not lists of dictionaries|expected a list of structs"):
        from_pandas(pd.DataFrame({"photons": [1.0, 2.0], "jets": [1.0, 2.0]}))


def test_the_cases_are_what_was_reported() -> None:
    assert pq.read_table(USER / "btag_is_a_score.parquet").num_rows == 4
