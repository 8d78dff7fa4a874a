"""The environment of a benchmark, and the file of its result."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("trackastra-engine", "numpy", "numba", "onnxruntime", "onnxruntime-gpu")
UPSTREAM_PACKAGES = ("trackastra", "torch", "numpy", "scikit-image")


def environment() -> dict[str, Any]:
    """Return the machine, versions and commit of a result."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": dict(_installed()),
    }


def upstream_versions(python: str) -> dict[str, str]:
    """Return the versions in upstream's environment."""
    code = (
        "import importlib.metadata, json; "
        f"print(json.dumps({{n: importlib.metadata.version(n) for n in {UPSTREAM_PACKAGES}}}))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def write_result(name: str, answer: dict[str, Any], *, upstream: str | None = None) -> Path:
    """Write `answer` with its environment to benchmarks/results/NAME.json; return the path.

    upstream: the Python of upstream, if it was measured.
    """
    path = RESULTS / f"{name}.json"
    about: dict[str, Any] = {"benchmark": name, "environment": environment()}
    if upstream:
        about["upstream"] = upstream_versions(upstream)
    path.write_text(json.dumps({**about, **answer}, indent=1) + "\n")
    return path


def read_result(name: str) -> dict[str, Any]:
    """Return a result that `write_result` wrote."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def _commit() -> str:
    """Return the commit of this code, "-dirty" if more than results and their pages changed."""
    printed = [
        subprocess.run(
            ["git", *command], cwd=RESULTS, capture_output=True, text=True, check=False
        ).stdout.strip()
        for command in (
            ("rev-parse", "--short", "HEAD"),
            ("status", "--porcelain", "--", ":/", ":(exclude).", ":(top,exclude)README.md"),
        )
    ]
    return printed[0] + ("-dirty" if printed[1] else "")


def _installed() -> Iterator[tuple[str, str]]:
    """Yield packages with their versions; of the two runtimes there is one."""
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.processor()
