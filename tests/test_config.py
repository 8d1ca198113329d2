"""The configuration: every key is documented, and every mistake in the file ends with an error that names it."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest
from iminuit.util import describe

from bmem import keys
from bmem.config import Config, load, parse
from bmem.errors import ConfigError

SAMPLE = "[[sample]]\nname = 'a'\nalpha = 10\nevents = 5\n"
CONSTRAINT = "[[constraint]]\nparameter = '{}'\nvalue = {}\nerror = 0.05\n"
BACKGROUND = "[[background]]\nname = 'b'\ndensity = 'diphoton'\n"
MIXED = BACKGROUND + "fraction = 0.3\n[belt]\nbank_events = 500\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_has_a_meaning() -> None:
    found = [(section.header, key) for section in keys.sections() for key in section.keys]
    assert len(found) > 100
    assert [f"{header} {key.name}" for header, key in found if len(key.meaning) < 5] == []


def test_printed_keys_are_the_default_configuration() -> None:
    assert parse(tomllib.loads(keys.as_toml())) == Config()


def test_printed_keys_of_repeated_sections_are_a_configuration() -> None:
    """Only values have to be filled in."""
    values = {
        "[[sample]]": {"name": "'a'", "events": "5", "file": "'events.parquet'"},
        "[[background]]": {"name": "'b'", "density": "'diphoton'", "fraction": "0.3", "fraction_error": "0.1"},
        "[[constraint]]": {"parameter": "'alpha'", "value": "3", "error": "1.5"},
    }
    blocks = keys.as_toml().split("\n\n")
    for header, filled in values.items():
        place = next(i for i, block in enumerate(blocks) if block.startswith(f"# {header}"))
        lines = blocks[place].replace("# ", "", 1).splitlines()
        for name, value in filled.items():
            assert f"# {name} =  #" in blocks[place]
            lines = [line.replace(f"# {name} =  #", f"{name} = {value}  #") for line in lines]
        lines = [line.replace("# PARAMETER =  #", "alpha = 10  #") for line in lines]
        blocks[place] = "\n".join(lines)
    config = parse(tomllib.loads("\n\n".join(blocks)))
    assert (config.sample[0].truth["alpha"], config.background[0].fraction, config.constraint[0].error) == (10, 0.3, 1.5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sead = 2", ["sead: is no key", "did you mean 'seed'"]),
        ("[nonsense]\nx = 1", ["nonsense"]),
        ("[simulation]\nevnts = 5", ["simulation.evnts"]),
        ("[channel.selection]\njet_ptt = 5", ["channel.selection.jet_ptt", "'jet_pt'"]),
        ("[channel.parametric.detector]\nradius = 0.4", ["channel.parametric.detector", "radius"]),
        ("[channel.pythia]\nmp = false", ["channel.pythia.mp", "'mpi'"]),
        ("[transfer.training]\nepoch = 5", ["transfer.training", "epoch"]),
        ("[proposal.network]\nwidth = 5", ["proposal.network", "width"]),
        ("[integration]\nmaxpoints = 5", ["integration", "maxpoints"]),
        ("seed = -1", ["seed: must be at least 0, not -1"]),
        ("[simulation]\nevents = 'many'", ["simulation.events: must be a whole number, not 'many'"]),
        ("[channel]\nresponse = 'delphes'", ["channel.response", "parametric"]),
        ("[transfer.training]\nepochs = 1.5", ["transfer.training.epochs", "whole number, not 1.5"]),
        ("[acceptance]\nhidden = 16", ["acceptance", "network = { hidden = 16 }"]),
        ("[acceptance.network]\nhidden = 0", ["acceptance.network", "acceptance.network: hidden must be at least 1"]),
        ("[transfer.network]\nblocks = 2.5", ["transfer.network.blocks", "whole number"]),
        ("[transfer.network]\nkind = 'perceptron'", ["transfer.network", "none of ['coupling'"]),
        ("[transfer.network]\nkind = 'nowhere.at_all:Settings'", ["transfer.network", "nowhere", "installed"]),
        ("[transfer.network]\nkind = 'bmem.networks.classifiers.perceptron:PerceptronSettings'", ["not derived from"]),
        ("[transfer]\nnetwork = 5", ["transfer.network", "is a table"]),
        ("[calibration]\nsubsamples = 2", ["calibration.subsamples"]),
        ("[integration]\nmin_points = 64\nmax_points = 32", ["integration", "max_points"]),
        ("[channel.selection]\nleading_photon_pt = 20.0\nphoton_pt = 30.0", ["channel.selection", "leading_photon_pt"]),
        ("[channel.selection]\nmin_btags = 5", ["min_btags"]),
        ("[transfer.training]\nvalidation_fraction = 1.0", ["validation_fraction"]),
        ("[simulation]\nevents = true", ["simulation.events", "whole number, not true"]),
        ("[channel.selection]\njet_pt = '25'", ["channel.selection.jet_pt", "number"]),
        ("[channel.pythia]\nmpi = 1", ["channel.pythia.mpi", "true or false"]),
        ("simulation = 5", ["simulation", "is a table"]),
        ("[sample]\nname = 'a'", ["sample", "[[sample]] in double brackets"]),
        ("[fit]\nluminosity = -1.0", ["fit.luminosity", "greater than 0"]),
        ("[fit]\nluminosity = inf", ["fit.luminosity", "finite"]),
        ("[integration]\nrelative_error = nan", ["integration.relative_error", "finite"]),
        ("[channel]\nsqrt_s = nan", ["channel.sqrt_s", "finite"]),
        ("[channel.parametric.detector]\nbtag_efficiency = 1.5", ["channel.parametric.detector", "btag_efficiency"]),
        ("[channel.pythia.detector]\njet_noise = -1.0", ["channel.pythia.detector", "jet_noise"]),
        ("[channel.parametric.decays]\ncharm_fraction = 2", ["channel.parametric.decays", "charm_fraction"]),
        ("[channel.parametric]\njet_mass = -0.1", ["channel.parametric", "jet_mass"]),
        ("[channel.pythia]\nattempts = 0", ["channel.pythia", "attempts"]),
        ("[channel.pythia]\nmpi = false", ["[channel.pythia]", "no effect", "'parametric'"]),
        ("[channel]\nresponse = 'pythia'\n[channel.parametric]\njet_mass = 0.1", ["[channel.parametric]", "no effect"]),
        (SAMPLE.replace("'a'", "'training'"), ["[[sample]] 'training': the name"]),
        ("[fit]\nstrength = true", ["fit.strength", "luminosity"]),
        ("[[constraint]]\nparameter = 'beta'\nvalue = 1\nerror = 1", ["'beta'", "['alpha']"]),
        ("[[constraint]]\nparameter = 'kappa_S'\nvalue = 1\nerror = 1", ["'kappa_S'", "fit.bases"]),
        ("[[constraint]]\nparameter = 'alpha'\nvalue = 1\nerror = 0", ["[[constraint]] number 1: error", "greater than 0"]),
        (CONSTRAINT.format("alpha", 10) + CONSTRAINT.format("alpha", 40), ["on alpha", "10°, 40° contradict"]),
        ("[fit]\nbases = ['couplings']\n" + CONSTRAINT.format("kappa_P", 30), ["on kappa_P", "contradict", "-3 to 3"]),
        ("[belt]\nbank_events = 5000\n" + CONSTRAINT.format("alpha", 10), ["[[constraint]] on alpha", "belt"]),
        (BACKGROUND + "fraction = 0.0", ["[[background]] 'b': fraction: must be greater than 0"]),
        (BACKGROUND + "fraction = 0.3\nfraction_error = 0.0", ["[[background]] 'b': fraction_error: must be greater"]),
        (BACKGROUND + "fraction = 0.3\nfile = 'b.parquet'", ["[[background]] 'b'", "either a 'density' or a 'file'"]),
        (BACKGROUND + "fraction = 0.3\n" + BACKGROUND + "fraction = 0.2", ["[[background]] names must differ"]),
        (BACKGROUND + "fraction = 0.3\n[fit]\nluminosity = 5.0", ["[[background]] 'b'", "give a 'cross_section'"]),
        (BACKGROUND + "cross_section = 0.3", ["[[background]] 'b'", "without fit.luminosity give a 'fraction'"]),
        (BACKGROUND + "fraction = 0.3\ncross_section = 1.0", ["[[background]] 'b'", "one of the two"]),
        (BACKGROUND + "cross_section = 0.3\nfraction_error = 0.1", ["'fraction_error' but no 'fraction'"]),
        (MIXED + "replicas = 'drawn'", ["belt.replicas", "average over the replicas"]),
        (MIXED + "resample = true\n[integration]\nresamples = 20", ["belt.resample", "take it out"]),
        (MIXED + "nuisances = 'drawn'", ["belt.nuisances", "nothing is known of the background b", "fraction_error"]),
        (SAMPLE.replace("'a'", "'bank.b'"), ["[[sample]] 'bank.b': the name"]),
        (
            BACKGROUND + "fraction = 0.3\nfraction_error = 0.01\n" + CONSTRAINT.format("f_b", 0.8),
            ["contradict each other", "f_b"],
        ),
        (SAMPLE.replace("'a'", "'a.hard'"), ["[[sample]] 'a.hard'"]),
        (SAMPLE + SAMPLE, ["names must differ", "'a'"]),
        ("[[sample]]\nname = 'a'\nalpha = 10", ["[[sample]] 'a'", "'events'", "'file'"]),
        ("[[sample]]\nname = 'a b/c'\nalpha = 10\nevents = 5", ["[[sample]] 'a b/c': name", "A-Za-z0-9_.+-"]),
        ("[[sample]]\nalpha = 10\nevents = 5", ["[[sample]] number 1: name: is missing, and required"]),
        ("[[sample]]\nname = 'a'\nalpha = 200\nevents = 5", ["[[sample]] 'a': alpha", "-180 to 180°"]),
        ("[[sample]]\nname = 'a'\nalpah = 10\nevents = 5", ["[[sample]] 'a': alpah", "'alpha'"]),
        ("[[sample]]\nname = 'a'\nalpha = 10\nevnts = 5", ["[[sample]] 'a'", "'events'", "evnts"]),
        ("[[sample]]\nname = 'a'\nalpha = '10'\nevents = 5", ["[[sample]] 'a': alpha", "not a number"]),
        ("[channel]\nname = 'toy'\n" + SAMPLE, ["[[sample]] 'a': alpha", "theta"]),
        ("[channel]\nname = 'ttH'", ["channel.name", "'ttH'", "thj, toy"]),
        ("[channel]\nname = 'nowhere.at_all:Channel'", ["channel.name", "nowhere.at_all", "cannot be imported"]),
        ("[channel]\nrespons = 'pythia'", ["channel.respons", "'response'"]),
        ("[fit]\nbases = ['coupling']", ["'coupling'", "'couplings'"]),
        (BACKGROUND.replace("diphoton", "dipoton") + "fraction = 0.3", ["'dipoton'", "'diphoton'"]),
        ("[calibration]\ntruths = [200]", ["calibration.truths: alpha", "-180 to 180°"]),
        ("[process]\nsqrt_s = 14000.0", ["process", "[channel]"]),
        ("[selection]\njet_pt = 30.0", ["selection", "[channel.selection]"]),
        ("[simulation]\nresponse = 'pythia'", ["simulation.response", "channel.response"]),
        ("[fit]\ncouplings = true", ["fit.couplings", 'fit.bases = ["couplings"]']),
        ("[calibration]\nangles = [0, 90]", ["calibration.angles", "calibration.truths"]),
    ],
)
def test_wrong_keys_are_named(text: str, named: list[str], tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [word for word in [str(path), *named] if word not in str(caught.value)] == []


def test_angles_are_in_degrees() -> None:
    """The code's own radians come first in the stage that generates events."""
    assert parse(tomllib.loads(SAMPLE.replace("10", "-180.0"))).sample[0].truth == {"alpha": -180.0}
    with pytest.raises(ConfigError, match=r"'a': alpha"):
        parse(tomllib.loads(SAMPLE.replace("10", "180.5")))


def test_a_whole_number_may_stand_for_a_real_one() -> None:
    assert parse({"channel": {"sqrt_s": 14_000}}).channel.settings.sqrt_s == 14_000.0


def test_what_a_configuration_says_is_a_configuration() -> None:
    """Every class and type survives the way there and back, paths and tuples too."""
    text = (
        SAMPLE
        + "[[sample]]\nname = 'b'\nfile = 'b.lhe'\n"
        + "[channel]\nresponse = 'pythia'\n[channel.pythia]\nextra = ['Tune:pp = 14']"
    )
    config = parse(tomllib.loads(text))
    assert parse(config.model_dump()) == config
    assert config.channel.settings.pythia.extra == ("Tune:pp = 14",)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)3 problem\(s\).*channel\.name.*fit\.events.*sead"):
        load(written(tmp_path, "sead = 1\n[fit]\nevents = 0\n[channel]\nname = 'ttH'"))
    text = "[fit]\nbases = ['coupling']\nstrength = true\n" + SAMPLE + SAMPLE.replace("10", "200")
    with pytest.raises(ConfigError, match=r"(?s)4 problem\(s\).*names must differ.*strength.*'a': alpha = 200.*'coupling'"):
        load(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read \(No such file"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("content", [b"seed = ", b"\x1f\x8b\x08\x00\xff", b"seed = 1\nseed = 2"])
def test_what_is_not_toml_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"study\.toml: not valid TOML"):
        load(path)


def test_sample_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[[sample]]\nname = 'a'\nfile = 'data/events.lhe'"))
    assert config.sample[0].file == tmp_path / "data" / "events.lhe"


def test_the_file_of_a_channel_is_found_from_anywhere(tmp_path: Path) -> None:
    """It is relative to the configuration, for what is checked with the channel too."""
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, SAMPLE + "[channel]\npdf = 'grid.dat'"))
    assert str(tmp_path / "grid.dat") in str(caught.value)


def test_configurations_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().seed = 2  # type: ignore[misc]


def test_constraints_in_the_units_of_the_likelihood() -> None:
    """α in radians, the names of couplings and strength as in the basis, fractions with those of the backgrounds."""
    content = {
        "fit": {"strength": True, "bases": ["couplings"], "luminosity": 3.0},
        "constraint": [
            {"parameter": "alpha", "value": 179.0, "error": 2.0},
            {"parameter": "alpha", "value": -179.0, "error": 2.0},
            {"parameter": "strength", "value": 1.0, "error": 0.1},
            {"parameter": "kappa_S", "value": 0.5, "error": 0.2},
        ],
    }
    config = parse(content)
    assert [p.name for p in config.parameters] == ["alpha", "kappa_S", "kappa_P", "mu"]
    assert [describe(c) for c in config.constraints] == [["alpha"], ["alpha"], ["mu"], ["kappa_S"]]
    assert float(config.constraints[0].value[0]) == pytest.approx(math.radians(179))
    assert float(config.constraints[0].covariance.ravel()[0]) == pytest.approx(math.radians(2) ** 2)


def test_fractions_share_what_a_sample_can_hold() -> None:
    backgrounds = [
        {"name": "a", "density": "diphoton", "fraction": 0.3, "fraction_error": 0.02},
        {"name": "b", "file": "b.parquet", "fraction": 0.1},
    ]
    config = parse({"background": backgrounds})
    assert [p.name for p in config.shares] == ["f_a", "f_b"]
    assert sum(p.bounds[1] for p in config.shares) == pytest.approx(0.99)
    assert [describe(c) for c in config.constraints] == [["f_a"]]
    with pytest.raises(ConfigError, match="background: has at most 2 entries"):
        parse({"background": [{"name": f"b{i}", "density": "diphoton", "fraction": 0.1} for i in range(3)]})


OBJECTS = "[channel]\nobservation = 'objects'\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (OBJECTS + SAMPLE, ["transfer.network: events are observed", "kind = 'transfermer'", "kind = 'set_coupling'"]),
        (OBJECTS + "max_jets = 3\n", ["max_jets = 3 leaves no event with the 4 jets"]),
        ("[channel]\nmax_jets = 6\n", ["max_jets has no effect", "observation = 'objects'"]),
        (OBJECTS + SAMPLE + BACKGROUND + "fraction = 0.3\n", ["has no density 'diphoton'"]),
    ],
)
def test_what_does_not_go_with_sets_of_objects_is_told(tmp_path: Path, text: str, named: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    assert all(part in str(caught.value) for part in named), str(caught.value)


def test_networks_that_read_sets_are_accepted(tmp_path: Path) -> None:
    networks = "[transfer]\nnetwork = { kind = 'transfermer' }\n[proposal]\nnetwork = { kind = 'set_coupling' }\n"
    assert load(written(tmp_path, OBJECTS + SAMPLE + networks)).transfer.network.kind == "transfermer"
