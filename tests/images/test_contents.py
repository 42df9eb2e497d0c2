"""What is in the images: sizes, layers, labels, the bills of materials."""

from __future__ import annotations

import json

import pytest

from scripts.containers import PYTHON, Engine
from scripts.image_runs import image_name
from scripts.images import ALL, BASE, BILLS, own_mb, version
from scripts.lock import image_lock, read_lock

pytestmark = pytest.mark.images

LARGEST_MB = 150.0
LARGE = ("prediction",)
"""Its trees need XGBoost and SciPy, its training Polars."""
NAMES = """
import json
from importlib.metadata import distributions
print(json.dumps({one.metadata["Name"].lower().replace("_", "-"): one.version for one in distributions()}))
"""


def installed(docker: Engine, image: str, tag: str) -> dict[str, str]:
    """Every distribution in an image's environment, by its normalised name."""
    run = ("run", "--rm", "--network", "none", "--entrypoint", PYTHON, image_name(image, tag))
    found: dict[str, str] = json.loads(docker.must(*run, "-c", NAMES))
    return found


@pytest.mark.parametrize("image", [one for one in ALL if one not in LARGE])
def test_own_layers_are_small(image: str, docker: Engine, tag: str, record_property) -> None:
    """Pulling a new version of everything but the base is cheap."""
    found = own_mb(docker, image, tag, BASE)
    record_property("own_layers_mb", round(found, 1))
    assert found < LARGEST_MB


@pytest.mark.parametrize("image", ALL)
def test_image_has_what_its_lock_says_and_nothing_else(image: str, docker: Engine, tag: str) -> None:
    """Locked versions, our own packages, no installer."""
    found = installed(docker, image, tag)
    locked = {pin.name: pin.version for pin in read_lock(image_lock(image)) if pin.applies_here}
    assert {name for name in locked if name not in found} == set()
    foreign = {name: at for name, at in found.items() if not name.startswith("teleglas-")}
    assert foreign.items() <= {(pin.name, pin.version) for pin in read_lock(image_lock(image))}
    assert not {"pip", "setuptools", "wheel", "uv"} & set(found)


@pytest.mark.parametrize("image", ALL)
def test_bill_of_materials_lists_what_is_there(image: str, docker: Engine, tag: str) -> None:
    """The SBOM was made from this very environment."""
    bill = json.loads((BILLS / f"{image}.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {one["name"].lower().replace("_", "-"): one["version"] for one in bill["components"]}
    assert listed == installed(docker, image, tag)


@pytest.mark.parametrize("image", ALL)
def test_labels_say_what_it_is_and_from_where(image: str, docker: Engine, tag: str) -> None:
    """The OCI annotations that registries and scanners read."""
    labels = docker.inspect("image", image_name(image, tag))["Config"]["Labels"]
    said = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert said["title"] == f"teleglas-{image}"
    assert said["version"] == version()
    assert said["licenses"] == "Apache-2.0"
    assert len(said["revision"]) == 40
    assert said["created"].endswith("+00:00")
