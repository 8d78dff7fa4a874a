"""OME-Zarr: damage is reported, scales need units, chunks are read once and stamped."""

import shutil

import numpy as np
import pytest
import zarr

from ome_zarrs import plain, write_image, write_metadata
from opened_movies import error_of
from selected_movies import IMAGES, MASKS, TWO, images_of, masks_of, stamps_of
from trackastra_engine.movie.frames import open_movie

# Damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("compressors", ["auto", None])
def test_a_truncated_chunk_is_rejected(tmp_path, zarr_format, compressors):
    path = plain(
        tmp_path / "a.zarr",
        MASKS,
        zarr_format=zarr_format,
        chunks=(1, 40, 48),
        compressors=compressors,
    )
    chunk = path / ("3.0.0" if zarr_format == 2 else "c/3/0/0")
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    assert "a.zarr is truncated or damaged: frame 3 cannot be read" in error_of(None, path)


def test_a_truncated_shard_is_rejected(tmp_path):
    path = plain(tmp_path / "a.zarr", MASKS, chunks=(1, 20, 24), shards=(1, 40, 48))
    shard = path / "c/3/0/0"
    shard.write_bytes(shard.read_bytes()[:-10])
    assert "a.zarr is truncated or damaged: frame 3 cannot be read" in error_of(None, path)


@pytest.mark.parametrize("chunks", [(1, 20, 24), (2, 20, 24)])
def test_images_with_a_missing_frame_are_rejected_and_masks_are_empty(tmp_path, chunks, caplog):
    """Masks of a frame without cells have no chunk, by the format; images are never all 0."""
    images = plain(tmp_path / "images.zarr", IMAGES, chunks=chunks)
    masks = plain(tmp_path / "masks.zarr", MASKS, chunks=chunks)
    for store in (images, masks):
        shutil.rmtree(store / "c" / str(4 // chunks[0]))
    assert "images.zarr is truncated: there is no data of frame 4" in error_of(images, MASKS)
    assert not [record for record in caplog.records if record.name.startswith("trackastra")]
    assert not masks_of(None, masks)[4].any()
    assert caplog.text.count("masks.zarr has no data of frame 4") == 1


@pytest.mark.parametrize(("zarr_format", "fill_value"), [(2, None), (3, np.nan)])
def test_no_fill_value_hides_that_a_frame_is_missing(tmp_path, zarr_format, fill_value):
    """Zarr's old format may have none; NaN is not equal to itself."""
    images = plain(
        tmp_path / "images.zarr",
        IMAGES.astype(np.float32),
        zarr_format=zarr_format,
        chunks=(1, 40, 48),
        fill_value=fill_value,
    )
    (images / ("4.0.0" if zarr_format == 2 else "c/4/0/0")).unlink()
    assert "images.zarr is truncated: there is no data of frame 4" in error_of(images, MASKS)


def test_an_image_that_is_dark_in_part_needs_no_chunk_there(tmp_path):
    dark = np.where(MASKS > 0, 100, 0).astype(np.uint16)
    images = plain(tmp_path / "images.zarr", dark, chunks=(1, 8, 48))
    np.testing.assert_array_equal(images_of(images, MASKS), dark)


def test_damaged_metadata_is_rejected(tmp_path):
    image = write_image(tmp_path / "image.zarr", MASKS, "tyx", n_levels=2)
    metadata = image / "zarr.json"
    whole = metadata.read_text()
    metadata.write_text(whole[: len(whole) // 2])
    assert "image.zarr is damaged, or no Zarr" in error_of(None, image)
    metadata.write_text(whole.replace("datasets", "data"))
    assert "image.zarr is damaged, or no Zarr" in error_of(None, image)
    metadata.write_text(whole)
    shutil.rmtree(image / "s1")
    assert "image.zarr is damaged, or no Zarr" in error_of(None, image, level=1)
    metadata.unlink()
    assert "no Zarr group or array at" in error_of(None, image)


def test_a_group_without_an_image_is_rejected(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    assert "a.zarr contains no image" in error_of(None, tmp_path / "a.zarr")


def test_an_image_without_a_time_axis_names_the_option_for_it(tmp_path):
    path = write_image(tmp_path / "masks.zarr", MASKS, "zyx")
    sentence = "has the axes zyx and no time axis; if z is the time, specify axes='tyx'"
    assert sentence in error_of(None, path)
    np.testing.assert_array_equal(masks_of(None, path, axes="tyx"), MASKS)


def test_scales_without_units_are_ignored(tmp_path):
    """Many programs write a scale of 1 if it is unknown."""
    group = zarr.open_group(write_image(tmp_path / "image", MASKS, "tyx"), mode="r+")
    told = group.attrs["ome"]["multiscales"][0]
    for axis in told["axes"]:
        axis.pop("unit")
    write_metadata(group, {"multiscales": [told]})
    movie = open_movie(None, tmp_path / "image")
    assert (movie.voxel_um, movie.frame_interval_s) == (None, None)


def test_the_scale_of_the_whole_pyramid_counts_too(tmp_path):
    group = zarr.open_group(write_image(tmp_path / "image", MASKS, "tyx"), mode="r+")
    told = group.attrs["ome"]["multiscales"][0]
    told["coordinateTransformations"] = [{"type": "scale", "scale": [0.5, 2, 2]}]
    write_metadata(group, {"multiscales": [told]})
    movie = open_movie(None, tmp_path / "image")
    assert movie.voxel_um == pytest.approx((1.0, 0.5))
    assert movie.frame_interval_s == pytest.approx(60)


# Memory -----------------------------------------------------------------------------------------


def test_a_chunk_of_several_frames_is_read_once():
    """If a chunk is too large to cache, its frames are read in parts."""
    asked = []

    class Chunked:
        shape, dtype, chunks = MASKS.shape, MASKS.dtype, (3, 40, 48)

        def __getitem__(self, index):
            asked.append(index)
            return MASKS[index]

    np.testing.assert_array_equal(masks_of(None, Chunked()), MASKS)
    assert asked == [slice(0, 3), slice(3, 5)]


def test_a_chunk_that_is_too_large_is_read_in_parts(monkeypatch):
    monkeypatch.setattr("trackastra_engine.movie.array_source.BLOCK_BYTES", 2 * MASKS[0].nbytes)
    asked = []

    class Chunked:
        shape, dtype, chunks = MASKS.shape, MASKS.dtype, MASKS.shape

        def __getitem__(self, index):
            asked.append(index)
            return MASKS[index]

    np.testing.assert_array_equal(masks_of(None, Chunked()), MASKS)
    assert asked == [slice(0, 2), slice(2, 4), slice(4, 5)]


# Stamps, by which a cache recognises frames -----------------------------------------------------


def test_a_changed_chunk_changes_only_the_stamps_of_its_frames(tmp_path):
    image = write_image(tmp_path / "image", TWO, "tcyx")
    before = stamps_of(image, channel=1)
    assert len(set(before)) == len(TWO)
    assert set(before).isdisjoint(stamps_of(image, channel=0))
    array = zarr.open_array(image / "s0", mode="r+")
    array[3, 1, 0, 0] = 9
    changed = [a != b for a, b in zip(before, stamps_of(image, channel=1), strict=True)]
    assert changed == [False, False, False, True, False]
