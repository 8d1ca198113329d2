"""Settings are read without the libraries that computations need; packages load what they export when it is asked for."""

import subprocess
import sys
from types import ModuleType

import pytest

import bmem.networks
import bmem.replicas
import bmem.training

SETTINGS = ("training.settings", "replicas.settings", "networks.settings", "networks.densities", "networks.classifiers")
CHECK = """
import sys
import {modules}
from bmem.networks.settings import ClassifierSettings, DensitySettings
from bmem.replicas.settings import PosteriorSettings
DensitySettings.chosen({{}}), ClassifierSettings.chosen({{}}), PosteriorSettings()
print(*({{"torch", "pyro", "arviz", "scipy"}} & sys.modules.keys()))
"""


def test_settings_load_no_torch() -> None:
    modules = ", ".join(f"bmem.{name}" for name in SETTINGS)
    code = CHECK.format(modules=modules)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("package", [bmem.networks, bmem.replicas, bmem.training], ids=lambda package: package.__name__)
def test_packages_export_what_they_say(package: ModuleType) -> None:
    for name in package.__all__:
        assert hasattr(package, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018
