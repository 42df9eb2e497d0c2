"""Plain manifests of the chart: one file a preset in deploy/k8s, for those without helm.

`--check` fails when a file is not what the chart renders. Both need helm on the PATH; without it
the check says that it judged nothing, and ends well.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy/helm/teleglas"
RENDERED = ROOT / "deploy/k8s"
KUBERNETES = "1.34.0"
"""Said because helm's own idea of it depends on how it was built."""
PRESETS = ("laptop", "small", "production")
HEAD = "# Rendered by `make k8s` from deploy/helm/teleglas: change the chart, not this file.\n"


def render(preset: str) -> str:
    """All manifests of a preset. Secrets are left to whoever applies them, so nothing is random."""
    command = ["helm", "template", "teleglas", str(CHART), "--namespace", "teleglas"]
    command += ["--kube-version", KUBERNETES]
    command += ["--values", str(CHART / f"values-{preset}.yaml")]
    if preset == "laptop":
        command += ["--set", "secrets.mode=existing"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return HEAD + done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    if shutil.which("helm") is None:
        print("deploy/k8s: not judged, as there is no helm on the PATH")
        sys.exit(0 if check else 1)
    stale = []
    for preset in PRESETS:
        path = RENDERED / f"{preset}.yaml"
        text = render(preset)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if check and stale:
        sys.exit(f"expected what the chart renders, run `make k8s`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
