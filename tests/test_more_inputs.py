"""Movies as cameras and programs leave them: pictures, archives, sets, stopped early."""

import json
import pickle
import shutil
import zipfile

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from command_line import run
from ome_zarrs import write_image
from small_movies import dividing_cell, write_folder
from trackastra_engine.errors import InputError
from trackastra_engine.evaluation import evaluate
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection

IMAGES, MASKS = dividing_cell()


def labels_of(masks, images=None, **selection):
    movie = open_movie(images, masks, selection=Selection(**selection))
    return np.stack([frame.labels for frame in movie])


def refusal(images, masks, **selection):
    with pytest.raises(InputError) as caught:
        list(open_movie(images, masks, selection=Selection(**selection)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Other files ------------------------------------------------------------------------------------


def png(mask):
    return imagecodecs.png_encode(mask)


def jpeg2000(mask):
    return imagecodecs.jpeg2k_encode(mask, level=0, reversible=True, codecformat="jp2")


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
    assert f"t003.{suffix} is truncated or damaged" in refusal(None, tmp_path / "masks")
    assert "is a movie of one frame" in refusal(None, tmp_path / "masks" / f"t001.{suffix}")


def test_colours_of_pictures_are_channels(tmp_path):
    for number, mask in enumerate(MASKS):
        colours = np.stack([0 * mask, mask, 0 * mask], axis=-1).astype(np.uint8)
        (tmp_path / f"t{number}.png").write_bytes(imagecodecs.png_encode(colours))
    assert "has 3 channels; choose one with channel" in refusal(None, tmp_path)
    np.testing.assert_array_equal(labels_of(tmp_path, channel=1), MASKS)


def test_arrays_of_numpy(tmp_path):
    np.save(tmp_path / "masks.npy", MASKS)
    np.save(tmp_path / "images.npy", IMAGES)
    movie = open_movie(tmp_path / "images.npy", tmp_path / "masks.npy")
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)
    assert movie.masks.stamp(0) is not None  # so that a cluster reads it, and a cache keeps it
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
    np.savez_compressed(both, X=IMAGES[..., None], y=MASKS[..., None])  # as DeepCell's
    np.testing.assert_array_equal(labels_of(both, both), MASKS)
    np.testing.assert_array_equal([frame.image for frame in open_movie(both, both)], IMAGES)
    np.savez(tmp_path / "two.npz", a=MASKS, b=MASKS)
    assert "holds the arrays a, b; expected one, or one called masks" in refusal(
        None, tmp_path / "two.npz"
    )
    whole = both.read_bytes()
    both.write_bytes(whole[: len(whole) // 2])
    assert "both.npz is truncated" in refusal(None, both)


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
    assert "it holds builtins.print, which is no array" in refusal(None, folder)
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
    movie = open_movie(path, path)
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
    assert movie.voxel_um == pytest.approx((0.5, 0.25))
    assert movie.masks.stamp(0) != movie.masks.stamp(1)


# Axes -------------------------------------------------------------------------------------------


def test_a_last_axis_of_one_is_no_x(tmp_path):
    """As arrays of Keras and DeepCell are, (t, y, x, 1)."""
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, MASKS[..., None])
    np.testing.assert_array_equal(labels_of(path), MASKS)
    np.testing.assert_array_equal(labels_of(path, axes="tyxc"), MASKS)
    np.testing.assert_array_equal(labels_of(MASKS[..., None]), MASKS)
    tifffile.imwrite(path, MASKS[..., None], compression="zlib", metadata={"axes": "TYXC"})
    np.testing.assert_array_equal(labels_of(path), MASKS)


def test_chunks_of_unknown_lengths_are_asked_for():
    array = pytest.importorskip("dask.array").from_array(MASKS, chunks=(1, 40, 48))
    unknown = array[array.max(axis=(1, 2)) > 0]
    assert "chunks of unknown lengths, (nan, 40, 48); call its compute_chunk_sizes()" in refusal(
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
    assert "has no level 2; its 2 levels are counted from 0" in refusal(None, path, level=2)
    tifffile.imwrite(tmp_path / "flat.tif", MASKS)
    assert "has no levels; leave level out" in refusal(None, tmp_path / "flat.tif", level=1)


def test_one_plane_for_a_planar_model_gets_a_hint(tmp_path):
    np.save(tmp_path / "m.npy", MASKS[:, None])
    done = run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "each frame is one plane: name its axes with --axes, such as tcyx" in done.stderr
    done = run("track", "--masks", tmp_path / "m.npy", "--axes", "tcyx", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr


# Parts of a set ---------------------------------------------------------------------------------

BINARY_ONLY = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<BinaryOnly MetadataFile="m.companion.ome" UUID="urn:uuid:0"/></OME>'
)


def write_set(folder):
    """Write two files of three frames each, described by a companion file."""
    folder.mkdir()
    planes = []
    for part in range(2):
        tifffile.imwrite(
            folder / f"m{part}.ome.tif", MASKS[3 * part : 3 * part + 3],
            photometric="minisblack", description=BINARY_ONLY, metadata=None,
        )  # fmt: skip
        planes += [
            f'<TiffData FirstT="{3 * part + at}" IFD="{at}" PlaneCount="1">'
            f'<UUID FileName="m{part}.ome.tif">urn:uuid:{part + 1}</UUID></TiffData>'
            for at in range(3)
        ]
    (folder / "m.companion.ome").write_text(
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
        'SizeX="48" SizeY="40" SizeZ="1" SizeC="1" SizeT="6" PhysicalSizeX="0.25" '
        f'PhysicalSizeY="0.25"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{"".join(planes)}'
        "</Pixels></Image></OME>"
    )
    return folder


def test_files_that_a_companion_describes(tmp_path):
    folder = write_set(tmp_path / "set")
    for name in ("m.companion.ome", "m0.ome.tif", "m1.ome.tif"):
        movie = open_movie(None, folder / name)
        np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
        assert movie.voxel_um == (0.25, 0.25)


def test_a_file_of_a_set_without_its_companion_is_its_own_movie(tmp_path, caplog):
    folder = write_set(tmp_path / "set")
    (folder / "m.companion.ome").unlink()
    np.testing.assert_array_equal(labels_of(folder / "m0.ome.tif"), MASKS[:3])
    assert "is described by m.companion.ome, which is not there" in caplog.text
    assert "does not say which axis is time" in caplog.text


def test_a_companion_without_its_files(tmp_path):
    folder = write_set(tmp_path / "set")
    (folder / "m1.ome.tif").unlink()
    assert "is truncated or part of a set: 6 planes are promised but 3" in refusal(
        None, folder / "m.companion.ome"
    )
    (folder / "m0.ome.tif").unlink()
    assert "names m0.ome.tif, m1.ome.tif, of which none lies" in refusal(
        None, folder / "m.companion.ome"
    )
    (folder / "m.companion.ome").write_text("<OME")
    assert "is no companion file of OME" in refusal(None, folder / "m.companion.ome")


# Stopped ----------------------------------------------------------------------------------------


def write_stopped(path, promised):
    """Write an OME-TIFF whose header promises more frames than there are."""
    tifffile.imwrite(path, MASKS, photometric="minisblack", metadata={"axes": "TYX"}, ome=True,
                     compression="zlib")  # fmt: skip
    text = tifffile.TiffFile(path).ome_metadata
    assert 'SizeT="6"' in text
    tifffile.tiffcomment(path, text.replace('SizeT="6"', f'SizeT="{promised}"').encode())
    return path


def test_an_acquisition_that_stopped_early_is_tracked_as_far_as_it_is_there(tmp_path, caplog):
    path = write_stopped(tmp_path / "m.ome.tif", 9)
    np.testing.assert_array_equal(labels_of(path), MASKS)
    assert "promises 9 frames but holds 6, as if the acquisition had stopped early" in caplog.text
    images = write_stopped(tmp_path / "images.ome.tif", 8)
    np.testing.assert_array_equal(labels_of(MASKS, images), MASKS)


def test_a_frame_that_is_there_in_part_needs_a_word(tmp_path):
    """Two planes a frame, of which the last frame has one."""
    path = tmp_path / "m.ome.tif"
    planes = np.repeat(MASKS, 2, axis=0)[:-1]
    with tifffile.TiffWriter(path) as writer:
        for index, plane in enumerate(planes):
            writer.write(
                plane, photometric="minisblack", metadata=None, compression="zlib",
                description=STOPPED if index == 0 else None,
            )  # fmt: skip
    assert "11 are there; copy or export it again, or give allow_incomplete" in refusal(None, path)
    found = labels_of(path, allow_incomplete=True)
    np.testing.assert_array_equal(found[:, 0], MASKS[:5])


STOPPED = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
    'SizeX="48" SizeY="40" SizeZ="2" SizeC="1" SizeT="6">'
    '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
)


def test_masks_of_a_part_of_the_movie(tmp_path):
    assert "or allow_incomplete to leave out those at the end" in refusal(IMAGES, MASKS[:4])
    np.testing.assert_array_equal(labels_of(MASKS[:4], IMAGES, allow_incomplete=True), MASKS[:4])
    images = write_folder(tmp_path / "images", IMAGES)
    masks = write_folder(tmp_path / "masks", MASKS[:4])
    np.testing.assert_array_equal(labels_of(masks, images, allow_incomplete=True), MASKS[:4])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_black_frame_of_an_image_has_no_chunk(tmp_path, zarr_format, caplog):
    """Zarr writes no chunk of zeros, as in shared/cases/zarr_black_image."""
    images = IMAGES.copy()
    images[2] = 0
    path = write_image(tmp_path / "im.zarr", images, "tyx", zarr_format=zarr_format)
    movie = open_movie(path, MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], images)
    assert "im.zarr has no data of frame 2, which is taken as empty" in caplog.text


def test_images_that_were_not_written_to_their_end(tmp_path, caplog):
    images = IMAGES.copy()
    images[2], images[4:] = 0, 0
    path = write_image(tmp_path / "im.zarr", images, "tyx")
    sentence = refusal(path, MASKS)
    assert "there is no data of frame 4; copy or export it again, or give allow_incomp" in sentence
    np.testing.assert_array_equal(labels_of(MASKS, path, allow_incomplete=True), MASKS[:4])
    assert "holds 4 of its 6 frames; the others are left out" in caplog.text


# The Cell Tracking Challenge --------------------------------------------------------------------


def test_folders_of_the_challenge_are_given_by_their_root(tmp_path):
    root = tmp_path / "Fluo-N2DH-SIM"
    write_folder(root / "01", IMAGES)
    write_folder(root / "01_ST" / "SEG", MASKS, "man_seg{:03}.tif")
    truth = write_folder(root / "01_GT" / "TRA", MASKS, "man_track{:03}.tif")
    (truth / "man_track.txt").write_text("1 0 5 0\n2 0 2 0\n3 3 5 2\n4 3 5 2\n")
    for images, masks in ((root, root), (root / "01", root / "01_ST"), (root, root / "01_GT")):
        movie = open_movie(images, masks)
        np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
        np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)
    found = write_folder(tmp_path / "found", MASKS, "mask{:03}.tif")
    shutil.copy(truth / "man_track.txt", found / "res_track.txt")
    for folder in (root, root / "01_GT", truth):
        assert evaluate(found, folder).edges.f1 == 1
    write_folder(root / "02", IMAGES)
    assert "holds the movies 01, 02; give one of them, such as" in refusal(root, root)


def test_plain_zarr_arrays_have_names_too(tmp_path):
    array = zarr.create_array(
        tmp_path / "m.zarr", shape=(40, 48, 6), dtype="u2", chunks=(40, 48, 1),
        dimension_names=("y", "x", "time"),
    )  # fmt: skip
    array[:] = np.moveaxis(MASKS, 0, -1)
    np.testing.assert_array_equal(labels_of(tmp_path / "m.zarr"), MASKS)
    assert json.loads((tmp_path / "m.zarr" / "zarr.json").read_text())["dimension_names"]


# Options and results ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masks_path(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("movie") / "masks", MASKS)


def test_the_time_between_frames_can_be_given(masks_path, tmp_path):
    command = ("track", "--masks", masks_path, "-o", tmp_path / "out", "--interval")
    assert "the time between frames is -1.0 s; give a positive" in run(*command, "-1").stderr
    assert run(*command, "90").exit_code == 0
    names, *_ = (tmp_path / "out" / "tracks.csv").read_text().splitlines()
    assert "time_s" in names.split(",")
    last = (tmp_path / "out" / "tracks.csv").read_text().splitlines()[-1].split(",")
    row = dict(zip(names.split(","), last, strict=True))
    assert float(row["time_s"]) == 90 * int(row["frame"])


def test_quiet_runs_print_warnings_only(masks_path, tmp_path):
    done = run("track", "--masks", masks_path, "-o", tmp_path / "out", "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    tifffile.imwrite(tmp_path / "m.tif", MASKS)
    done = run("track", "--masks", tmp_path / "m.tif", "-o", tmp_path / "other", "--quiet")
    assert "Warning: " in done.stderr
    assert "does not say which axis is time" in done.stderr


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._tracks.csv"])
def test_files_of_the_system_block_no_results(masks_path, tmp_path, name):
    out = tmp_path / "out"
    (out / "ctc").mkdir(parents=True)
    (out / name).write_text("seen by a file manager")
    command = ("track", "--masks", masks_path, "-o", out)
    (out / "ctc").rmdir()
    assert run(*command).exit_code == 0
    (out / "ctc" / name).write_text("seen again")
    for again in ((*command, "--overwrite"), ("link", out, "--mode", "greedy_nodiv")):
        done = run(*again)
        assert done.exit_code == 0, done.stderr
    (out / "notes.txt").write_text("mine")
    assert "holds notes.txt, which is no result" in run(*command, "--overwrite").stderr


def test_messages_in_python_name_arguments_and_in_commands_flags(tmp_path):
    colours = np.stack([MASKS, MASKS], axis=1)
    tifffile.imwrite(tmp_path / "m.tif", colours, imagej=True, metadata={"axes": "TCYX"})
    assert "choose one with channel, a number" in refusal(None, tmp_path / "m.tif")
    done = run("track", "--masks", tmp_path / "m.tif", "-o", tmp_path / "out")
    assert "choose one with --channel, a number" in done.stderr
    assert "choose one with channel, a number" in refusal(None, tmp_path / "m.tif")
