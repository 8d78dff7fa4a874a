"""The benchmark of intensities: movies of masks and of points get those of their tables."""

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from benchmarks import intensities, real_movies
from benchmarks.__main__ import main

N_FRAMES = 6


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Four discs of track t and intensity 1000 t + frame, and a colony of two points."""
    monkeypatch.setitem(real_movies.MASKS, "sparse1", {"test": (1, 4)})
    masks = tmp_path / "sparse1" / "02_GT" / "TRA"
    masks.mkdir(parents=True)
    y, x = np.mgrid[:60, :60]
    cells = ["frame,label,track,intensity_mean"]
    for frame in range(N_FRAMES):
        mask = np.zeros((60, 60), np.uint16)
        for track, (cy, cx) in enumerate([(12, 12), (12, 45), (45, 12), (45, 45)], start=1):
            mask[(y - cy) ** 2 + (x - cx - frame) ** 2 <= 36] = track
            cells.append(f"{frame},{9 - track},{track}.0,{1000 * track + frame}.2")
        cells.append(f"{frame},9,,77.0")  # belongs to no track
        tifffile.imwrite(masks / f"man_track{frame:03d}.tif", mask)
    (masks / "man_track.txt").write_text("".join(f"{t} 0 5 0\n" for t in range(1, 5)))
    (tmp_path / "sparse1" / "regionprops.csv").write_text("\n".join(cells))
    colony = tmp_path / "microcolonies" / "test" / "one"
    colony.mkdir(parents=True)
    points = [f"{t},{c},{9 * c},{t},8,{100 * c}" for t in range(N_FRAMES) for c in (1, 2)]
    (colony / "points.csv").write_text("\n".join(["frame,label,y,x,diameter,intensity", *points]))
    edges = [f"{t},{c},{t + 1},{c}" for t in range(N_FRAMES - 1) for c in (1, 2)]
    head = "source_frame,source_label,target_frame,target_label"
    (colony / "edges.csv").write_text("\n".join([head, *edges]))
    made = CliRunner().invoke(main, ["sparse1", str(tmp_path)])
    assert made.exit_code == 0, made.output
    return tmp_path


def test_movies_are_the_same_with_and_without_intensities(data):
    found = dict(intensities.versions(data, "test"))
    assert list(found) == [
        *(f"sparse1, {name}" for name in ("whole", "every 2nd", "every 4th", "with errors")),
        *(f"microcolonies, {name}" for name in ("whole", "every 2nd", "every 4th")),
    ]
    for seen in found.values():
        (measured,), (plain,) = seen.values()
        np.testing.assert_array_equal(measured.detections.centroid, plain.detections.centroid)
        np.testing.assert_array_equal(measured.links, plain.links)
        assert np.isnan(plain.detections.features[:, 1]).all()


def test_cells_have_the_intensities_of_their_tracks(data):
    found = dict(intensities.versions(data, "test"))
    (nuclei,) = found["sparse1, whole"][intensities.WITH]
    cells = nuclei.detections
    place = cells.centroid - np.column_stack([np.zeros(len(cells)), cells.frame + 1.0])
    track = 1 + (place[:, 0] > 30) * 2 + (place[:, 1] > 30)
    np.testing.assert_allclose(cells.features[:, 1], 1000 * track + cells.frame + 1)
    (colony,) = found["microcolonies, whole"][intensities.WITH]
    points = colony.detections
    np.testing.assert_allclose(points.features[:, 1], points.centroid[:, 0] * 100 / 9)


@pytest.mark.parametrize("command", ["sparse1", "intensities"])
def test_missing_data_are_reported(command, tmp_path):
    arguments = [str(tmp_path)] if command == "sparse1" else ["--data", str(tmp_path)]
    done = CliRunner().invoke(main, [command, *arguments])
    assert done.exit_code == 2
    assert "lacks regionprops.csv" in done.output or "`benchmarks sparse1` makes it" in done.output
