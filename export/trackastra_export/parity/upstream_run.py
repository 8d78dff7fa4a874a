"""Track a movie with upstream, and store all intermediate results.

This file runs in the Python that has upstream, so it imports nothing of this project: `PYTHON
upstream_run.py FOLDER MOVIE.npz RESULT.npz MAX_DISTANCE MODE...`. The network runs twice: in
float32, as users run it, and in float64, where rounding of distances is negligible.
"""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

NO_UPSTREAM = 3  # exit code
PACKAGES = ("trackastra", "torch", "numpy", "scikit-image", "motile")


def run(folder: Path, movie: Path, result: Path, max_distance: float, modes: list[str]) -> None:
    """Write detections, features, and the scored edges and tracks of both precisions."""
    import torch
    from trackastra.model import Trackastra, model_api

    with np.load(movie) as stored:
        images, masks = stored["images"], stored["masks"]
    found: dict[str, Any] = {"versions": [f"{name} {value}" for name, value in _versions()]}
    seen = _Recorder(model_api)
    for precision in ("f32", "f64"):
        model = Trackastra.from_folder(folder, device="cpu")
        if precision == "f64":
            torch.set_default_dtype(torch.float64)
            model.transformer.double()
            seen.as_double = True
        predictions = model._predict(images, masks)
        edges, scores = _weights(predictions["weights"])
        found |= {f"edges_{precision}": edges, f"scores_{precision}": scores}
        for mode in modes:
            graph = model._track_from_predictions(predictions, mode, max_distance=max_distance)
            found[f"{mode}_{precision}"] = _pairs(graph.edges)
        found[f"candidates_{precision}"] = _pairs(seen.candidate_graph.edges)
    parts = seen.features
    found["frame"] = np.concatenate([part.timepoints for part in parts])
    found["label"] = np.concatenate([part.labels for part in parts])
    found["centroid"] = np.concatenate([part.coords for part in parts])
    found["features"] = np.concatenate([part.features_stacked for part in parts])
    np.savez(result, **found)


class _Recorder:
    """Records the results of upstream's steps; casts windows to float64 if `as_double`."""

    def __init__(self, model_api: Any) -> None:
        self.features: Any = ()
        self.candidate_graph: Any = None
        self.as_double = False
        get_features, build_windows = model_api.get_features, model_api.build_windows
        build_graph = model_api.build_graph

        def recorded_features(*args: Any, **kwargs: Any) -> Any:
            self.features = get_features(*args, **kwargs)
            return self.features

        def windows(*args: Any, **kwargs: Any) -> Any:
            made = build_windows(*args, **kwargs)
            if self.as_double:
                for window in made:
                    for name in ("coords", "features"):
                        window[name] = window[name].double()
            return made

        def recorded_graph(*args: Any, **kwargs: Any) -> Any:
            self.candidate_graph = build_graph(*args, **kwargs)
            return self.candidate_graph

        model_api.get_features, model_api.build_windows = recorded_features, windows
        model_api.build_graph = recorded_graph


def _weights(weights: Any) -> tuple[Any, Any]:
    ordered = sorted((int(i), int(j), float(score)) for (i, j), score in weights)
    pairs = [(source, target) for source, target, _ in ordered]
    return _pairs(pairs), np.array([score for *_, score in ordered])


def _pairs(edges: Any) -> Any:
    return np.array(sorted((int(source), int(target)) for source, target in edges)).reshape(-1, 2)


def _versions() -> list[tuple[str, str]]:
    known = [("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            known.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return known


if __name__ == "__main__":
    if find_spec("trackastra") is None:
        sys.exit(NO_UPSTREAM)
    _, folder, movie, result, max_distance, *modes = sys.argv
    run(Path(folder), Path(movie), Path(result), float(max_distance), modes)
