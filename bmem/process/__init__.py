"""What physics is measured: the process contract, single top + Higgs (THJ, TBH), top pair + Higgs (TTH), and a toy."""

from bmem.process.contract import Parameter, Process
from bmem.process.couplings import ElectroweakInputs
from bmem.process.generation import GenerationReport
from bmem.process.pdf import PDFGrid, default_grid, pythia_grid
from bmem.process.phase_space import PhaseSpace
from bmem.process.tbh import TBH
from bmem.process.thj import THJ
from bmem.process.toy import LinearGaussian
from bmem.process.tth import TTH

__all__ = [
    "TBH",
    "THJ",
    "TTH",
    "ElectroweakInputs",
    "GenerationReport",
    "LinearGaussian",
    "PDFGrid",
    "Parameter",
    "PhaseSpace",
    "Process",
    "default_grid",
    "pythia_grid",
]
