"""Tracked masks as OME-Zarr: valid, streamed, resumed, and read again."""

import numpy as np
import pytest
import yaozarrs
import zarr
from scipy import ndimage

from small_movies import dividing_cell, true_lineage
from trackastra_engine.errors import InputError
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output import ome_zarr_labels
from trackastra_engine.output.formats import Results
from trackastra_engine.output.ome_zarr_labels import LabelImage, write_ome_zarr
from trackastra_engine.output.results import Outputs, check_outputs, parse_formats, write_outputs

KNOWN = Calibration((0.5, 0.25), 60.0)


@pytest.fixture(scope="module")
def image():
    """Return `dividing_cell` to be written, and its masks labelled by track."""
    _, masks = dividing_cell()
    lineage = true_lineage(masks)
    image = LabelImage(lineage, open_movie(None, masks), KNOWN)
    return image, tracked(masks, lineage)


def tracked(masks, lineage):
    """Return masks with the number of the track of each object."""
    result = np.zeros_like(masks)
    found = lineage.detections
    for frame, label, track in zip(found.frame, found.label, lineage.tracklet_id, strict=True):
        result[frame][masks[frame] == label] = track
    return result


@pytest.mark.parametrize(("name", "zarr_format"), [("ome-zarr", 3), ("ome-zarr-0.4", 2)])
def test_labels_are_valid_and_can_be_read_as_masks(image, tmp_path, name, zarr_format):
    image, masks = image
    formats = parse_formats([name])
    results = Results(image.lineage, image.movie, calibration=KNOWN)
    write_outputs(results, Outputs(tmp_path / "out", formats=formats, report=False))
    path = tmp_path / "out" / "tracks.ome.zarr"
    yaozarrs.validate_zarr_store(path)
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == zarr_format
    assert "image-label" in group.attrs.asdict().get("ome", group.attrs.asdict())
    assert group["0"].chunks == (1, 40, 48)
    movie = open_movie(None, path)
    assert (movie.voxel_um, movie.frame_interval_s) == (KNOWN.voxel_um, KNOWN.frame_interval_s)
    np.testing.assert_array_equal([frame.labels for frame in movie], masks)
    tables = {"edges.csv", "track_features.csv", "tracks.csv"}
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == {path.name, *tables}
    check_outputs(Outputs(tmp_path / "out", overwrite=True), [])  # which may be replaced


def test_large_frames_have_levels(image, monkeypatch, tmp_path):
    monkeypatch.setattr(ome_zarr_labels, "COARSEST_PX", 12)
    image, masks = image
    write_ome_zarr(image, tmp_path / "a.zarr", tmp_path)
    yaozarrs.validate_zarr_store(tmp_path / "a.zarr")
    movie = open_movie(None, tmp_path / "a.zarr", selection=level(2))
    assert movie.voxel_um == (2.0, 1.0)
    np.testing.assert_array_equal([frame.labels for frame in movie], masks[:, ::4, ::4])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


def level(number):
    from trackastra_engine.movie.selection import Selection

    return Selection(level=number)


def test_a_killed_run_continues_where_it_stopped(image, tmp_path, monkeypatch):
    image, masks = image
    done = []

    def dies(stage, index, total):
        done.append(index)
        if index == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ome_zarr(image, tmp_path / "a.zarr", tmp_path, progress=dies)
    assert not (tmp_path / "a.zarr").exists()
    again = []
    write_ome_zarr(
        image, tmp_path / "a.zarr", tmp_path, progress=lambda _, index, __: again.append(index)
    )
    assert again == [5, 6]
    read = [frame.labels for frame in open_movie(None, tmp_path / "a.zarr")]
    np.testing.assert_array_equal(read, masks)


def test_frames_of_other_tracks_are_not_reused(image, tmp_path):
    image, _ = image
    other = LabelImage(image.lineage, image.movie, Calibration((1.0, 1.0), 60.0))

    def dies(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ome_zarr(other, tmp_path / "a.zarr", tmp_path, progress=dies)
    again = []
    write_ome_zarr(
        image, tmp_path / "a.zarr", tmp_path, progress=lambda _, index, __: again.append(index)
    )
    assert again == [1, 2, 3, 4, 5, 6]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


def test_frames_of_other_masks_are_not_reused(image, tmp_path):
    """Objects that only became smaller have the same places, labels and tracks."""
    _, masks = dividing_cell()
    smaller = np.where(masks == ndimage.minimum_filter(masks, (1, 3, 3)), masks, 0)
    other = LabelImage(true_lineage(smaller), open_movie(None, smaller), KNOWN)

    def dies(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ome_zarr(image[0], tmp_path / "a.zarr", tmp_path, progress=dies)
    write_ome_zarr(other, tmp_path / "a.zarr", tmp_path)
    read = [frame.labels for frame in open_movie(None, tmp_path / "a.zarr")]
    np.testing.assert_array_equal(read, tracked(smaller, other.lineage))


def test_volumes_have_chunks_of_some_planes(tmp_path):
    masks = np.repeat(dividing_cell()[1][:, None], 20, axis=1)
    lineage = true_lineage(masks)
    write_ome_zarr(LabelImage(lineage, open_movie(None, masks)), tmp_path / "a.zarr", tmp_path)
    yaozarrs.validate_zarr_store(tmp_path / "a.zarr")
    assert zarr.open_array(tmp_path / "a.zarr" / "0").chunks == (1, 16, 40, 48)
    movie = open_movie(None, tmp_path / "a.zarr")
    assert (movie.voxel_um, movie.frame_interval_s) == (None, None)
    np.testing.assert_array_equal([frame.labels for frame in movie], tracked(masks, lineage))


def test_both_versions_at_once_are_rejected():
    with pytest.raises(InputError, match="choose one of them"):
        parse_formats(["ome-zarr,ome-zarr-0.4"])
