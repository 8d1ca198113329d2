"""Settings of the detector and of the shower, in plain dataclasses: reading them loads nothing of the simulation."""

from __future__ import annotations

from dataclasses import dataclass, field

from bmem.errors import ConfigError
from bmem.simulation.checks import check_numbers

_SHARES = (
    "photon_efficiency",
    "isolation_fraction",
    "isolation_efficiency",
    "jet_efficiency",
    "btag_efficiency",
    "charm_mistag",
    "light_mistag",
)
"""Settings that are probabilities or fractions."""


@dataclass(frozen=True)
class DetectorSettings:
    """Resolutions σ, efficiencies and reach of the detector; pT and E in GeV, ⊕ adds in quadrature."""

    photon_stochastic: float = 0.10
    """Photon energy: σ/E = stochastic/√E ⊕ constant; the defaults resolve a pair of 125 GeV to about 1.7 GeV."""
    photon_constant: float = 0.01
    """Constant term of the photon's energy resolution."""
    photon_angle: float = 0.004
    """σ of the photon's η and of its φ (interaction vertex included)."""
    photon_efficiency: float = 0.97
    """Photon identification: efficiency · (1 - exp(-pT/turn_on)) of the true pT: 89 % at 20 GeV, 97 % at 60 GeV."""
    photon_turn_on: float = 8.0
    """Scale of pT in GeV over which photons become identifiable."""
    photon_max_eta: float = 3.0
    """Photons are seen within this |η| ..."""
    photon_min_pt: float = 15.0
    """... and above this reconstructed pT in GeV."""
    isolation_cone: float = 0.3
    """ΔR of the cone around a photon in which everything else is summed."""
    isolation_fraction: float = 0.1
    """A photon is isolated if the pT of everything else in the cone stays below this fraction of its own ..."""
    isolation_efficiency: float = 0.98
    """... and with this probability, for noise and pile-up in the cone."""
    jet_noise: float = 3.0
    """Jet pT: σ/pT = noise/pT ⊕ stochastic/√pT ⊕ constant: 18 % at 30 GeV, 9 % at 100 GeV."""
    jet_stochastic: float = 0.8
    """Stochastic term of the jet's pT resolution, in √GeV."""
    jet_constant: float = 0.04
    """Constant term of the jet's pT resolution."""
    jet_angle: float = 0.03
    """σ of the jet's η and of its φ."""
    jet_mass: float = 0.2
    """Relative σ of the jet's mass over pT."""
    jet_efficiency: float = 0.99
    """Probability that a jet within reach is reconstructed."""
    jet_max_eta: float = 5.0
    """Jets are seen within this |η| ..."""
    jet_min_pt: float = 20.0
    """... and above this reconstructed pT in GeV."""
    jet_threshold: float = 5.0
    """True jets of smaller pT leave no trace."""
    jet_radius: float = 0.4
    """Jets this close to an isolated photon are removed, partons closer than this make one jet."""
    btag_max_eta: float = 2.5
    """Jets are b-tagged within this |η| ..."""
    btag_efficiency: float = 0.70
    """... with this probability if they hold a b quark,"""
    charm_mistag: float = 0.15
    """with this one if they hold a charm quark,"""
    light_mistag: float = 0.01
    """and with this one otherwise."""

    def __post_init__(self) -> None:
        check_numbers(self, _SHARES)


@dataclass(frozen=True)
class PythiaSettings:
    """Settings of the Pythia response; masses and widths in GeV."""

    detector: DetectorSettings = field(default_factory=DetectorSettings)
    mpi: bool = True
    """Multiple parton interactions (the underlying event): realistic, but several times slower than without."""
    attempts: int = 3
    """How often an event is tried before it counts as failed."""
    w_mass: float = 80.419
    """Mass of the W boson."""
    w_width: float = 2.085
    """Width of the W boson."""
    extra: tuple[str, ...] = ()
    """Further Pythia settings, like "Tune:pp = 14"; they come last and so overrule the others."""

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.attempts < 1:
            raise ConfigError(f"PythiaSettings: attempts = {self.attempts} must be at least 1")
