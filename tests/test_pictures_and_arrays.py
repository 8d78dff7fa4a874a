"""Movies as pictures, arrays in files, and with odd axes."""

import pickle
import shutil
import struct
import zipfile
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile

from command_line import run
from ome_zarrs import write_image
from opened_movies import IMAGES, MASKS, error_of, labels_of
from trackastra_engine.errors import InputError
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection


def png(mask):
    return imagecodecs.png_encode(mask)


def jpeg2000(mask):
    return imagecodecs.jpeg2k_encode(mask, level=0, reversible=True, codecformat="jp2")


def lossy_jpeg2000(mask):
    return imagecodecs.jpeg2k_encode(mask, level=40, reversible=False, codecformat="jp2")


@pytest.mark.parametrize(("suffix", "encode"), [("png", png), ("jp2", jpeg2000)])
def test_folders_of_pictures(tmp_path, suffix, encode):
    for kind, frames in (("images", IMAGES), ("masks", MASKS)):
        (tmp_path / kind).mkdir()
        for number, frame in enumerate(frames):
            (tmp_path / kind / f"t{number:03}.{suffix}").write_bytes(encode(frame))
    movie = open_movie(tmp_path / "images", tmp_path / "masks")
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)
    path = tmp_path / "masks" / f"t003.{suffix}"
    path.write_bytes(path.read_bytes()[:60])
    assert f"t003.{suffix} is truncated or damaged" in error_of(None, tmp_path / "masks")
    assert "is a movie of one frame" in error_of(None, tmp_path / "masks" / f"t001.{suffix}")


def test_colours_of_pictures_are_channels(tmp_path):
    write_colours(tmp_path / "m", lambda mask: np.stack([0 * mask, mask, 0 * mask], axis=-1))
    sentence = error_of(None, tmp_path / "m")
    assert "t0.png is a colour picture, and colours are no labels; save the labels" in sentence
    assert "has 3 channels; choose one with channel" in error_of(tmp_path / "m", MASKS)
    np.testing.assert_array_equal(labels_of(tmp_path / "m", channel=1), MASKS)


@pytest.mark.parametrize("n_channels", [2, 3, 4])
def test_grey_that_was_saved_as_colours_is_grey(tmp_path, n_channels):
    """Two channels are grey and opacity, four are colours and opacity, which is 255."""

    def channels(mask):
        colours = np.repeat(mask[..., None], n_channels, axis=-1)
        colours[..., -1] = mask if n_channels == 3 else 255
        return colours

    write_colours(tmp_path / "m", channels)
    np.testing.assert_array_equal(labels_of(tmp_path / "m"), MASKS)
    if n_channels > 2:
        colours = np.stack([0 * MASKS[2], MASKS[2], MASKS[2]], axis=-1).astype(np.uint8)
        (tmp_path / "m" / "t2.png").write_bytes(imagecodecs.png_encode(colours))
        with pytest.raises(InputError, match=r"t2\.png is a colour picture but t0"):
            labels_of(tmp_path / "m")


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_labels_of_a_palette_are_its_indices(tmp_path, depth):
    for number, mask in enumerate(MASKS % 4):
        write_palette(tmp_path / f"t{number}.png", mask.astype(np.uint8), depth)
    np.testing.assert_array_equal(labels_of(tmp_path), MASKS % 4)


def write_colours(folder, colours_of):
    folder.mkdir()
    for number, mask in enumerate(MASKS):
        encoded = imagecodecs.png_encode(colours_of(mask.astype(np.uint8)))
        (folder / f"t{number}.png").write_bytes(encoded)


def write_palette(path, indices, depth):
    """Write a PNG of indices of `depth` bits, which mean black, red, red and blue."""
    bits = np.unpackbits(indices[..., None], axis=-1)[..., -depth:]
    rows = np.packbits(bits.reshape(len(indices), -1), axis=-1)
    header = struct.pack(">IIBBBBB", *indices.shape[::-1], depth, 3, 0, 0, 0)
    chunks = {
        b"IHDR": header,
        b"PLTE": bytes([0, 0, 0, 255, 0, 0, 255, 0, 0, 0, 0, 255]),
        b"tRNS": b"\0",
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)),
        b"IEND": b"",
    }
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
            for name, content in chunks.items()
        )
    )


def test_frames_of_two_kinds_of_files_are_not_taken_for_fewer(tmp_path):
    """A PNG of each TIFF, and a plot, may be there; a PNG of a later frame may not."""
    for number, mask in enumerate(MASKS[:-1]):
        tifffile.imwrite(tmp_path / f"t{number}.tif", mask)
        (tmp_path / f"t{number}.png").write_bytes(b"")
    (tmp_path / "plot.png").write_bytes(b"")
    np.testing.assert_array_equal(labels_of(tmp_path), MASKS[:-1])
    (tmp_path / f"t{len(MASKS) - 1}.png").write_bytes(imagecodecs.png_encode(MASKS[-1]))
    assert "t5.png besides 5 files such as t0.tif; save all" in error_of(None, tmp_path)


@pytest.mark.parametrize(
    ("first", "other", "counts"),
    [
        (("CYX", 2), ("CYX", 3), "t5.tif has 3 channels but t0.tif has 2 channels;"),
        (("CYX", 3), ("CYX", 2), "t5.tif has 2 channels but t0.tif has 3 channels;"),
        (("CYX", 3), ("ZYX", 3), "t5.tif has 3 planes but t0.tif has 3 channels;"),
        (("CYX", 2), ("YX", 1), "t5.tif has one plane but t0.tif has 2 channels;"),
    ],
)
def test_files_of_a_folder_have_equal_channels(tmp_path, first, other, counts):
    for number, image in enumerate(IMAGES):
        axes, n_channels = first if number < 5 else other
        pixels = np.stack([image] * n_channels) if n_channels > 1 else image
        path = tmp_path / f"t{number}.tif"
        tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": axes})
    assert f"{counts} save all files alike" in error_of(tmp_path, MASKS, channel=1)


def test_arrays_of_a_folder_have_equal_channels(tmp_path):
    for number, image in enumerate(IMAGES):
        np.save(tmp_path / f"t{number}.npy", np.stack([image] * (2 + number // 5)))
    sentence = error_of(tmp_path, MASKS, axes="tcyx", channel=1)
    assert "t5.npy has 3 planes but t0.npy has 2 planes; save" in sentence


def test_one_array_per_frame_in_a_file_of_numpy(tmp_path):
    frames = np.empty(len(MASKS), object)
    frames[:] = list(MASKS)
    np.save(tmp_path / "masks.npy", frames, allow_pickle=True)
    np.testing.assert_array_equal(labels_of(tmp_path / "masks.npy"), MASKS)
    frames[2] = MASKS[2][:20]
    np.save(tmp_path / "masks.npy", frames, allow_pickle=True)
    assert "neither frames of one shape nor masks of Cellpose" in error_of(
        None, tmp_path / "masks.npy"
    )


def test_arrays_of_other_axes_are_not_read_without_a_word(caplog):
    """Colours behind x, and time behind x."""
    colours = np.repeat(MASKS[..., None], 3, axis=-1)
    assert "has 3 channels; choose one with channel" in error_of(None, colours)
    np.testing.assert_array_equal(labels_of(colours, channel=1), MASKS)
    open_movie(None, np.moveaxis(MASKS, 0, -1))
    assert "(40, 48, 6), read as (t, y, x); if time is the last axis" in caplog.text
    np.testing.assert_array_equal(labels_of(np.moveaxis(MASKS, 0, -1), axes="yxt"), MASKS)
    open_movie(None, np.zeros((40, 40, 30), np.uint16))
    assert "(40, 40, 30), read as (t, y, x); if time is the last axis" in caplog.text
    volumes = np.repeat(MASKS[:, None], 5, axis=1)
    open_movie(None, np.moveaxis(volumes, (0, 1), (-1, -2)))
    assert "(40, 48, 5, 6), read as (t, z, y, x); if time is the last axis" in caplog.text
    caplog.clear()
    open_movie(None, volumes)
    assert "time is the last axis" not in caplog.text


def test_a_stack_with_time_behind_x_is_not_read_without_a_word(tmp_path, caplog):
    last = np.moveaxis(MASKS, 0, -1)
    tifffile.imwrite(tmp_path / "named.tif", last, metadata={"axes": "YXT"})
    assert "expected ([t, z, c,] y, x), no axis empty: save it with y and x last" in error_of(
        None, tmp_path / "named.tif"
    )
    tifffile.imwrite(tmp_path / "plain.tif", last, photometric="minisblack")
    open_movie(None, tmp_path / "plain.tif")
    assert "(40, 48, 6); if time is the last axis, save it with y and x last" in caplog.text
    caplog.clear()
    tifffile.imwrite(tmp_path / "masks.tif", MASKS, photometric="minisblack")
    open_movie(None, tmp_path / "masks.tif")
    assert "time is the last axis" not in caplog.text


def test_arrays_of_numpy(tmp_path):
    np.save(tmp_path / "masks.npy", MASKS)
    np.save(tmp_path / "images.npy", IMAGES)
    movie = open_movie(tmp_path / "images.npy", tmp_path / "masks.npy")
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)
    assert movie.masks.stamp(0) is not None  # so that a cluster reads it, and a cache stores it
    sent = pickle.dumps(movie.masks)
    assert len(sent) < 2000
    np.testing.assert_array_equal(list(pickle.loads(sent).read(range(6))), MASKS)
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, mask in enumerate(MASKS):
        np.save(folder / f"t{number}.npy", mask)
    np.testing.assert_array_equal(labels_of(folder), MASKS)


def test_archives_of_numpy(tmp_path):
    np.savez(tmp_path / "one.npz", MASKS)
    np.testing.assert_array_equal(labels_of(tmp_path / "one.npz"), MASKS)
    both = tmp_path / "both.npz"
    np.savez_compressed(both, X=IMAGES[..., None], y=MASKS[..., None])  # as from DeepCell
    np.testing.assert_array_equal(labels_of(both, both), MASKS)
    np.testing.assert_array_equal([frame.image for frame in open_movie(both, both)], IMAGES)
    np.savez(tmp_path / "two.npz", a=MASKS, b=MASKS)
    assert "contains the arrays a, b; save only one, or call one masks" in error_of(
        None, tmp_path / "two.npz"
    )
    np.savez(tmp_path / "three.npz", y=MASKS, labels=0 * MASKS, masks=MASKS + 1)
    np.testing.assert_array_equal(labels_of(tmp_path / "three.npz"), MASKS + 1)
    whole = both.read_bytes()
    both.write_bytes(whole[: len(whole) // 2])
    assert "both.npz is truncated" in error_of(None, both)


class Dangerous:
    def __reduce__(self):
        return (print, ("this code ran",))


def test_archives_of_cellpose_are_read_without_running_code(tmp_path, capsys):
    folder = tmp_path / "cellpose"
    folder.mkdir()
    for number, mask in enumerate(MASKS):
        content = {"masks": mask, "outlines": mask > 0, "est_diam": np.float64(6), "filename": "a"}
        np.save(folder / f"img{number}_seg.npy", content)
        tifffile.imwrite(folder / f"img{number}.tif", IMAGES[number])
    movie = open_movie(folder, folder)
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)
    np.save(folder / "img2_seg.npy", {"masks": Dangerous()})
    assert "it contains builtins.print, which is no array" in error_of(None, folder)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("inside", [".", "movie.zarr"])
def test_zipped_zarr(tmp_path, zarr_format, inside):
    image = write_image(tmp_path / "movie.zarr", MASKS, "tyx", zarr_format=zarr_format)
    path = tmp_path / "movie.ome.zarr.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(image.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inside}/{file.relative_to(image)}".removeprefix("./"))
    shutil.rmtree(image)
    movie = open_movie(None, path)
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
    assert movie.voxel_um == pytest.approx((0.5, 0.25))
    assert movie.masks.stamp(0) != movie.masks.stamp(1)


def test_a_last_axis_of_one_is_not_x(tmp_path):
    """As in arrays of Keras and DeepCell, (t, y, x, 1)."""
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, MASKS[..., None])
    np.testing.assert_array_equal(labels_of(path), MASKS)
    np.testing.assert_array_equal(labels_of(path, axes="tyxc"), MASKS)
    np.testing.assert_array_equal(labels_of(MASKS[..., None]), MASKS)
    tifffile.imwrite(path, MASKS[..., None], compression="zlib", metadata={"axes": "TYXC"})
    np.testing.assert_array_equal(labels_of(path), MASKS)


def test_chunks_of_unknown_lengths_are_rejected():
    array = pytest.importorskip("dask.array").from_array(MASKS, chunks=(1, 40, 48))
    unknown = array[array.max(axis=(1, 2)) > 0]
    assert "chunks of unknown lengths, (nan, 40, 48); call its compute_chunk_sizes()" in error_of(
        None, unknown
    )


def write_pyramid(path, movie):
    with tifffile.TiffWriter(path, ome=True) as writer:
        metadata = {"axes": "TYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
        options = {"photometric": "minisblack", "tile": (16, 16)}
        writer.write(movie, subifds=1, metadata=metadata, **options)
        writer.write(movie[:, ::2, ::2], subfiletype=1, **options)
    return path


def test_levels_of_a_pyramid_in_a_tiff(tmp_path):
    path = write_pyramid(tmp_path / "m.ome.tif", MASKS)
    np.testing.assert_array_equal(labels_of(path), MASKS)
    np.testing.assert_array_equal(labels_of(path, level=1), MASKS[:, ::2, ::2])
    movie = open_movie(path, MASKS[:, ::2, ::2], selection=Selection(level=1))
    assert movie.voxel_um == (1.0, 0.5)
    assert "has no level 2; its 2 levels are counted from 0" in error_of(None, path, level=2)
    tifffile.imwrite(tmp_path / "flat.tif", MASKS)
    assert "has no levels; leave level out" in error_of(None, tmp_path / "flat.tif", level=1)


def test_one_plane_is_tracked_as_one_layer_or_without_depth(tmp_path):
    np.save(tmp_path / "m.npy", MASKS[:, None])
    links = []
    for name, axes in (("stack", "tzyx"), ("planes", "tcyx")):
        out = tmp_path / name
        done = run("track", "--masks", tmp_path / "m.npy", "--axes", axes, "-o", out)
        assert done.exit_code == 0, done.stderr
        assert '"general_2d"' in (out / "report.html").read_text()
        links.append(np.loadtxt(out / "edges.csv", delimiter=",", skiprows=1, usecols=range(4)))
    np.testing.assert_array_equal(*links)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"compression": "jpeg"}, "JPEG"),
        (
            {"compression": "jpeg2000", "compressionargs": {"level": 40, "reversible": False}},
            "lossy JPEG-2000",
        ),
        ({"compression": "jpeg", "compressionargs": {"lossless": True}}, None),
        ({"compression": "jpeg2000"}, None),
    ],
)
def test_masks_in_a_lossy_compression_are_rejected(tmp_path, options, kind):
    masks = MASKS.astype(np.uint8)
    (tmp_path / "masks").mkdir()
    for number, frame in enumerate(masks):
        tifffile.imwrite(tmp_path / "masks" / f"t{number:03}.tif", frame, **options)
    tifffile.imwrite(tmp_path / "masks.tif", masks, photometric="minisblack", **options)
    for place, file in (("masks", "masks/t000.tif"), ("masks.tif", "masks.tif")):
        if kind is None:
            np.testing.assert_array_equal(labels_of(tmp_path / place), masks)
        else:
            sentence = error_of(None, tmp_path / place)
            assert f"{tmp_path / file} is compressed with {kind}, which changes" in sentence
            # Intensities change, too, but only a little.
            assert len(open_movie(tmp_path / place, MASKS)) == len(masks)


def test_lossy_pictures_are_no_masks(tmp_path):
    for number, frame in enumerate(MASKS.astype(np.uint8)):
        (tmp_path / f"t{number}.jp2").write_bytes(lossy_jpeg2000(frame))
    with pytest.raises(InputError, match=r"t0\.jp2 is compressed with lossy"):
        open_movie(None, tmp_path)
