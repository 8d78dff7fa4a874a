"""Sets of files of which some are missing, and acquisitions that stopped early."""

import numpy as np
import pytest
import tifffile

from ome_zarrs import write_image
from opened_movies import IMAGES, MASKS, error_of, labels_of
from small_movies import write_folder
from trackastra_engine.movie.frames import open_movie

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
    assert "is described by m.companion.ome, which does not exist" in caplog.text
    assert "does not name the time axis" in caplog.text


def test_a_companion_without_its_files(tmp_path):
    folder = write_set(tmp_path / "set")
    (folder / "m1.ome.tif").unlink()
    assert "is truncated or part of a set: it announces 6 planes but contains 3" in error_of(
        None, folder / "m.companion.ome"
    )
    (folder / "m0.ome.tif").unlink()
    assert "names m0.ome.tif, m1.ome.tif, but its folder contains" in error_of(
        None, folder / "m.companion.ome"
    )
    (folder / "m.companion.ome").write_text("<OME")
    assert "is no companion file of OME" in error_of(None, folder / "m.companion.ome")


def write_stopped(path, promised):
    """Write an OME-TIFF whose header announces more frames than the file has."""
    tifffile.imwrite(path, MASKS, photometric="minisblack", metadata={"axes": "TYX"}, ome=True,
                     compression="zlib")  # fmt: skip
    text = tifffile.TiffFile(path).ome_metadata
    assert 'SizeT="6"' in text
    tifffile.tiffcomment(path, text.replace('SizeT="6"', f'SizeT="{promised}"').encode())
    return path


def test_an_acquisition_that_stopped_early_is_tracked_to_its_last_frame(tmp_path, caplog):
    path = write_stopped(tmp_path / "m.ome.tif", 9)
    np.testing.assert_array_equal(labels_of(path), MASKS)
    assert (
        "announces 9 frames but contains 6, as if the acquisition had stopped early" in caplog.text
    )
    images = write_stopped(tmp_path / "images.ome.tif", 8)
    np.testing.assert_array_equal(labels_of(MASKS, images), MASKS)


def test_an_incomplete_frame_needs_allow_incomplete(tmp_path):
    """Two planes a frame; the last frame has only one."""
    path = tmp_path / "m.ome.tif"
    planes = np.repeat(MASKS, 2, axis=0)[:-1]
    with tifffile.TiffWriter(path) as writer:
        for index, plane in enumerate(planes):
            writer.write(
                plane, photometric="minisblack", metadata=None, compression="zlib",
                description=STOPPED if index == 0 else None,
            )  # fmt: skip
    assert "contains 11; copy or export it again, or give allow_incomplete" in error_of(None, path)
    found = labels_of(path, allow_incomplete=True)
    np.testing.assert_array_equal(found[:, 0], MASKS[:5])


STOPPED = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
    'SizeX="48" SizeY="40" SizeZ="2" SizeC="1" SizeT="6">'
    '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
)


def test_masks_of_a_part_of_the_movie(tmp_path):
    assert "or allow_incomplete to leave out unpaired frames at the end" in error_of(
        IMAGES, MASKS[:4]
    )
    np.testing.assert_array_equal(labels_of(MASKS[:4], IMAGES, allow_incomplete=True), MASKS[:4])
    images = write_folder(tmp_path / "images", IMAGES)
    masks = write_folder(tmp_path / "masks", MASKS[:4])
    np.testing.assert_array_equal(labels_of(masks, images, allow_incomplete=True), MASKS[:4])


def test_frames_may_be_missing_at_the_end_only(tmp_path):
    stack = tmp_path / "images.tif"
    tifffile.imwrite(stack, IMAGES)
    images, masks = (write_folder(tmp_path / kind, MASKS) for kind in ("images", "masks"))
    (masks / "t002.tif").unlink()
    for whole in (stack, images, IMAGES):
        sentence = error_of(whole, masks, allow_incomplete=True)
        assert "masks: a frame is missing between t001 and t003, so images and" in sentence
    (masks / "t005.tif").unlink()
    (images / "t002.tif").unlink()
    expected = MASKS[[0, 1, 3, 4]]
    np.testing.assert_array_equal(labels_of(masks, images, allow_incomplete=True), expected)


def test_frames_may_not_be_missing_at_the_start(tmp_path):
    images = write_folder(tmp_path / "images", IMAGES)
    masks = write_folder(tmp_path / "masks", MASKS)
    (masks / "t000.tif").unlink()
    sentence = error_of(images, masks, allow_incomplete=True)
    assert "frame 0 of" in sentence
    assert f"is t000.tif but that of {masks} is t001.tif, so images and masks cannot" in sentence
    for number in range(1, 6):
        (masks / f"t{number:03}.tif").rename(masks / f"t{number + 9:03}.tif")
    np.testing.assert_array_equal(labels_of(masks, images, allow_incomplete=True), MASKS[1:])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_black_frame_of_an_image_has_no_chunk(tmp_path, zarr_format, caplog):
    """Zarr writes no chunk of zeros."""
    images = IMAGES.copy()
    images[2] = 0
    path = write_image(tmp_path / "im.zarr", images, "tyx", zarr_format=zarr_format)
    movie = open_movie(path, MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], images)
    assert (
        "im.zarr has no data of frame 2; this and other such frames are read as empty"
        in caplog.text
    )


def test_images_that_were_not_written_to_their_end(tmp_path, caplog):
    images = IMAGES.copy()
    images[2], images[4:] = 0, 0
    path = write_image(tmp_path / "im.zarr", images, "tyx")
    sentence = error_of(path, MASKS)
    assert "there is no data of frame 4; copy or export it again, or give allow_incomp" in sentence
    np.testing.assert_array_equal(labels_of(MASKS, path, allow_incomplete=True), MASKS[:4])
    assert "contains 4 of its 6 frames; the others are left out" in caplog.text
