"""Movies from folders, stacks and arrays; other inputs are rejected in one sentence."""

import logging

import numpy as np
import pytest
import tifffile

from opened_movies import error_of
from small_movies import dividing_cell, write_folder
from trackastra_engine.errors import InputError
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection


def labels_of(movie):
    return np.stack([frame.labels for frame in movie])


@pytest.fixture
def masks():
    return dividing_cell()[1]


@pytest.fixture
def volumes(masks):
    """Return (T, 3, 40, 48) volumes whose planes differ."""
    return masks[:, None] * np.array([1, 0, 2], np.uint16)[:, None, None]


def test_folders_stacks_and_arrays_give_the_same_movie(tmp_path):
    images, masks = dividing_cell()
    tifffile.imwrite(tmp_path / "masks.tif", masks, imagej=True, metadata={"axes": "TYX"})
    folder = write_folder(tmp_path / "images", images)
    for movie in (
        open_movie(images, masks),
        open_movie(folder, tmp_path / "masks.tif"),
        open_movie(str(folder), masks),
    ):
        assert len(movie) == 6
        assert movie.frame_shape == (40, 48)
        assert movie.ndim == 2
        for _ in range(2):  # every iteration reads again
            np.testing.assert_array_equal(labels_of(movie), masks)
            np.testing.assert_array_equal(np.stack([f.image for f in movie]), images)
            assert [frame.index for frame in movie] == list(range(6))


def test_only_masks_are_a_movie(masks):
    assert all(frame.image is None for frame in open_movie(None, masks))


def test_some_frames_can_be_read_in_any_order(tmp_path, masks):
    movie = open_movie(None, write_folder(tmp_path / "masks", masks))
    chosen = list(movie.frames([4, 1]))
    assert [frame.index for frame in chosen] == [4, 1]
    np.testing.assert_array_equal(chosen[0].labels, masks[4])


def test_a_folder_is_read_in_natural_order_and_other_files_are_ignored(tmp_path, masks):
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, mask in zip((9, 10, 99, 100, 9999, 10000), masks, strict=True):
        tifffile.imwrite(folder / f"m2-t{number}.TIF", mask)
    for name in ("man_track.txt", "log.csv", "._m2-t9.tif", "m.tif.txt"):
        (folder / name).write_text("not an image")
    np.testing.assert_array_equal(labels_of(open_movie(None, folder)), masks)


def test_only_the_frame_in_use_is_read(masks):
    class Recorder:
        shape, dtype = masks.shape, masks.dtype
        asked = ()

        def __getitem__(self, index):
            self.asked += (index,)
            return masks[index]

    recorder = Recorder()
    frames = iter(open_movie(None, recorder))
    assert recorder.asked == ()
    next(frames)
    assert recorder.asked == (0,)


WRITERS = {
    "imagej": {"imagej": True, "metadata": {"axes": "TZYX"}},
    "ome": {"ome": True, "photometric": "minisblack", "metadata": {"axes": "TZYX"}},
    "ome compressed": {
        "ome": True,
        "photometric": "minisblack",
        "metadata": {"axes": "TZYX"},
        "compression": "zlib",
    },
    "named axes": {"photometric": "minisblack", "metadata": {"axes": "TZYX"}},
    "three planes as colours": {"photometric": "rgb", "metadata": {"axes": "TZYX"}},
    "compressed colours": {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"},
    "no metadata": {"photometric": "minisblack"},
    "bigtiff": {"bigtiff": True, "photometric": "minisblack", "compression": "lzw"},
    "big endian": {"byteorder": ">", "photometric": "minisblack"},
    "tiles": {"tile": (16, 16), "photometric": "minisblack", "metadata": {"axes": "TZYX"}},
}


@pytest.mark.parametrize("options", WRITERS.values(), ids=WRITERS)
def test_stacks_of_volumes_of_many_writers(tmp_path, volumes, options):
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, volumes, **options)
    movie = open_movie(None, path)
    assert (len(movie), movie.frame_shape, movie.ndim) == (6, (3, 40, 48), 3)
    np.testing.assert_array_equal(labels_of(movie), volumes)
    assert next(iter(movie)).labels.dtype == np.uint16  # native byte order, as kernels need


def test_time_may_be_after_z(tmp_path, volumes):
    path = tmp_path / "masks.ome.tif"
    tifffile.imwrite(path, volumes.swapaxes(0, 1), ome=True, metadata={"axes": "ZTYX"})
    np.testing.assert_array_equal(labels_of(open_movie(None, path)), volumes)


def test_a_stack_written_frame_by_frame(tmp_path, masks):
    with tifffile.TiffWriter(tmp_path / "masks.tif") as writer:
        for mask in masks:
            writer.write(mask, contiguous=False)
    np.testing.assert_array_equal(labels_of(open_movie(None, tmp_path / "masks.tif")), masks)


@pytest.mark.parametrize("axes", ["ZYX", None])
def test_without_a_time_axis_the_guess_is_logged(tmp_path, masks, axes, caplog):
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, masks, imagej=True, metadata={"axes": axes} if axes else {})
    with caplog.at_level(logging.WARNING, "trackastra_engine"):
        movie = open_movie(None, path)
    assert movie.frame_shape == (40, 48)
    assert "masks.tif does not name the time axis; read as (t, y, x)" in caplog.text


def test_a_folder_of_volumes(tmp_path, volumes):
    movie = open_movie(None, write_folder(tmp_path / "masks", volumes))
    assert movie.frame_shape == (3, 40, 48)
    np.testing.assert_array_equal(labels_of(movie), volumes)


def test_a_page_of_several_planes_is_decoded_once(tmp_path, volumes, monkeypatch):
    """Without names of axes, tifffile takes four planes for the colours of one page."""
    stack = np.stack([volumes[:, 0]] * 4, axis=1)
    options = {"planarconfig": "separate", "photometric": "rgb", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    decode, decoded = tifffile.TiffPage.asarray, []

    def counted(page, *args, **options):
        decoded.append(page.index)
        return decode(page, *args, **options)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", counted)
    movie = open_movie(None, tmp_path / "a.tif", selection=Selection(axes="tzyx"))
    np.testing.assert_array_equal(labels_of(movie), stack)
    assert decoded == list(range(len(stack)))


def test_an_ome_file_of_a_set_is_one_frame_of_a_folder(tmp_path, masks):
    """MicroManager's files, one per frame, each describe the whole movie."""
    write_folder(tmp_path / "masks", masks, "m{}.ome.tif")
    for path in (tmp_path / "masks").iterdir():
        with tifffile.TiffFile(path, mode="r+") as tiff:
            assert len(tiff.pages) == 1
    first = tmp_path / "masks" / "m0.ome.tif"
    tifffile.imwrite(first, masks[0], ome=True, metadata={"axes": "YX"})
    np.testing.assert_array_equal(labels_of(open_movie(None, tmp_path / "masks")), masks)


# Bad inputs -------------------------------------------------------------------------------------


def test_missing_path(tmp_path):
    assert "nowhere, does not exist; give" in error_of(None, tmp_path / "nowhere")


def test_folder_without_tiffs(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    assert "contains no frame (TIFF, PNG, JPEG-2000 or .npy), but notes.txt; give" in error_of(
        None, tmp_path
    )


def test_different_numbers_of_images_and_masks(masks):
    assert "there are 5 images in" in error_of(masks[:5], masks)


def test_different_shapes(masks):
    sentence = error_of(masks[:, :30], masks)
    assert "30 x 48" in sentence
    assert "40 x 48" in sentence


def test_a_shape_that_changes_within_a_folder(tmp_path, masks):
    folder = write_folder(tmp_path / "masks", [*masks[:3], masks[3, :30]])
    assert "the mask of frame 3 in" in error_of(None, folder)


def test_masks_of_float_type(tmp_path, masks):
    """Fiji, StarDist and MorphoLibJ save labels as 32-bit floats."""
    for floats in (masks.astype(np.float32), masks.astype(np.float16), masks.astype(float)):
        assert labels_of(open_movie(None, floats)).dtype == np.uint32
        np.testing.assert_array_equal(labels_of(open_movie(None, floats)), masks)
    folder = write_folder(tmp_path / "masks", [*masks[:3], *masks[3:].astype(np.float32)])
    np.testing.assert_array_equal(labels_of(open_movie(None, folder)), masks)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.5, "is of type float32 and contains 0.5, which is no label; expected whole numbers"),
        (np.nan, "contains nan; expected whole numbers from 0 to 16777215"),
        (-1, "contains -1; expected whole numbers from 0"),
        (np.inf, "contains inf; expected whole numbers from 0"),
        (2**24, "contains 1.67772e+07; expected whole numbers from 0 to 16777215"),
    ],
)
def test_floats_that_are_not_labels(masks, value, reason):
    floats = masks.astype(np.float32)
    floats[2, 0, 0] = value
    sentence = error_of(None, floats)
    assert "the mask of frame 2 in the array of the masks" in sentence
    assert reason in sentence


def test_masks_of_numbers_that_are_not_real(masks):
    assert "are of type complex64; expected integers" in error_of(None, masks.astype("c8"))


class Named:
    """An array with names of dimensions, like xarray's DataArray."""

    def __init__(self, array, dims):
        self.array, self.dims = array, dims
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        return self.array[index]


def test_names_of_dimensions_are_axes(masks, volumes):
    named = Named(np.moveaxis(masks, 0, -1), ("y", "x", "time"))
    np.testing.assert_array_equal(labels_of(open_movie(None, named)), masks)
    named = Named(volumes.swapaxes(0, 1), ("plane", "Time", "row", "col"))
    np.testing.assert_array_equal(labels_of(open_movie(None, named)), volumes)
    unnamed = Named(masks, ("dim_0", "dim_1", "dim_2"))
    np.testing.assert_array_equal(labels_of(open_movie(None, unnamed)), masks)
    assert "has the axes ytt" in error_of(None, Named(masks, ("y", "time", "t")))


def test_masked_pixels_are_background_and_have_no_intensity(masks):
    hidden = np.ma.MaskedArray(masks, masks == 1)
    np.testing.assert_array_equal(
        labels_of(open_movie(None, hidden)), np.where(masks == 1, 0, masks)
    )
    images = [frame.image for frame in open_movie(hidden, masks)]
    np.testing.assert_array_equal(np.isnan(images), masks == 1)
    whole = np.ma.MaskedArray(masks)
    assert next(iter(open_movie(whole, masks))).image.dtype == masks.dtype


def test_negative_label(masks):
    signed = masks.astype(np.int32)
    signed[2, 0, 0] = -7
    assert "frame 2 in the array of the masks contains the negative label -7" in error_of(
        None, signed
    )


def test_one_frame_only(tmp_path, masks):
    assert "one frame; tracking needs at least two" in error_of(None, masks[:1])
    tifffile.imwrite(tmp_path / "one.tif", masks[0])
    assert "one frame; tracking needs at least two" in error_of(None, tmp_path / "one.tif")


def test_not_a_tiff(tmp_path):
    path = tmp_path / "masks.tif"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert "masks.tif is not a TIFF file" in error_of(None, path)
    path.write_bytes(b"")
    assert "masks.tif is not a TIFF file" in error_of(None, path)


@pytest.mark.parametrize("shape", [(6,), (6, 40), (6, 2, 3, 40, 48), (6, 0, 48)])
def test_arrays_of_other_dimensions(shape):
    assert "expected (t, y, x) or (t, z, y, x)" in error_of(None, np.zeros(shape, np.uint8))


def test_a_list_of_frames(masks):
    assert "numpy.stack" in error_of(None, list(masks))


def test_complex_images(masks):
    assert "expected real numbers" in error_of(masks.astype(complex), masks)


CUT_WRITERS = {
    **WRITERS,
    "frame by frame": {"photometric": "minisblack", "metadata": None, "compression": "zlib"},
    "many strips": {"rowsperstrip": 8, "compression": "zlib", "photometric": "minisblack"},
}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("options", CUT_WRITERS.values(), ids=CUT_WRITERS)
def test_truncated_stacks(tmp_path, options, share):
    """Noise, so that compressed planes are larger than headers."""
    noise = np.random.default_rng(0).integers(0, 9, (6, 3, 40, 48)).astype(np.uint16)
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, noise, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    sentence = error_of(None, path)
    assert "truncated" in sentence or "damaged" in sentence
    assert "copy or export it again" in sentence


@pytest.mark.parametrize("length", range(1, 12))
def test_a_tiff_of_a_few_bytes(tmp_path, length):
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, np.ones((6, 40, 48), np.uint16))
    path.write_bytes(path.read_bytes()[:length])
    assert str(path) in error_of(None, path)


def test_labels_beyond_int64_are_rejected():
    masks = np.ones((2, 4, 4), np.uint64)
    masks[1, 0, 0] = 2**63
    with pytest.raises(InputError, match=r"frame 1 in .* contains the label 9223372036854775808"):
        list(open_movie(None, masks))


def test_a_truncated_imagej_stack_of_one_header(tmp_path):
    """ImageJ writes stacks above 4 GB with one page header, and data behind it."""
    path = tmp_path / "masks.tif"
    description = "ImageJ=1.53t\nimages=5\nframes=5\nhyperstack=true\n"
    tifffile.imwrite(path, np.ones((40, 48), np.uint16), description=description, metadata=None)
    assert "announces 5 planes but it contains 1;" in error_of(None, path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.99])
def test_a_truncated_file_in_a_folder(tmp_path, compression, share):
    noise = np.random.default_rng(0).integers(0, 9, (3, 40, 48)).astype(np.uint16)
    folder = write_folder(tmp_path / "masks", noise)
    path = folder / "t001.tif"
    tifffile.imwrite(path, noise[1], compression=compression)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "t001.tif is truncated" in error_of(None, folder)


def test_a_file_that_vanishes_while_tracking(tmp_path, masks):
    folder = write_folder(tmp_path / "masks", masks)
    movie = open_movie(None, folder)
    (folder / "t003.tif").unlink()
    with pytest.raises(InputError, match="does not exist"):
        list(movie)
