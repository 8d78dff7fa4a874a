"""Positions, levels, labels, axes and channels are chosen by option; missing ones are reported."""

import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile

from command_line import run
from ome_zarrs import write_image, write_labels, write_plate, write_series
from opened_movies import error_of
from selected_movies import IMAGES, MASKS, TWO, images_of, masks_of, stamps_of
from small_movies import write_folder
from trackastra_engine import Selection
from trackastra_engine.movie.frames import open_movie


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_position_of_a_plate_is_that_of_images_and_masks(tmp_path, zarr_format):
    fields = ("A/1/0", "A/1/1", "B/02/0")
    movies = {field: TWO + number for number, field in enumerate(fields)}
    images = write_plate(tmp_path / "plate", movies, "tcyx", zarr_format=zarr_format)
    masks = {field: MASKS * (number + 1) for number, field in enumerate(fields)}
    masks = write_plate(tmp_path / "masks", masks, "tyx", zarr_format=zarr_format)
    for position, number in (("A/1/0", 0), ("A/1/1", 1), ("B/02/0", 2), ("B/02", 2)):
        chosen = {"channel": 1, "position": position}
        np.testing.assert_array_equal(images_of(images, masks, **chosen), TWO[:, 1] + number)
        np.testing.assert_array_equal(
            masks_of(images, masks, **chosen), MASKS * np.uint16(number + 1)
        )
    np.testing.assert_array_equal(images_of(images / "A/1/1", MASKS, channel=0), TWO[:, 0] + 1)
    assert "plate contains 2 wells, A/1, B/02; choose one with position" in error_of(images, MASKS)
    sentence = error_of(images, MASKS, position="A/1", channel=0)
    assert "A/1 contains 2 images, 0, 1; choose one with position, such as position='A/1/0'" in (
        sentence
    )
    assert "has no position C/1; choose one of A/1, B/02" in error_of(images, MASKS, position="C/1")
    assert "there is no " in error_of(images / "C/1/0", MASKS)


def test_a_plate_of_one_field_needs_no_position(tmp_path):
    plate = write_plate(tmp_path / "plate", {"A/1/0": MASKS}, "tyx")
    np.testing.assert_array_equal(masks_of(None, plate), MASKS)


def test_series_of_bioformats2raw_are_numbered(tmp_path):
    series = write_series(tmp_path / "series", [MASKS * (n + 1) for n in range(11)], "tyx")
    np.testing.assert_array_equal(masks_of(None, series, position="10"), MASKS * np.uint16(11))
    assert "series contains 11 images, 0, 1, 2, 3, 4, 5, ..." in error_of(None, series)


def test_images_of_an_ome_tiff_are_numbered_or_named(tmp_path):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, name in enumerate(("left", "right")):
            metadata = {"axes": "TYX", "Name": name, "TimeIncrement": number + 1.0}
            writer.write(MASKS * np.uint16(number + 1), metadata=metadata)
    for position, number in (("0", 0), ("1", 1), ("right", 1)):
        np.testing.assert_array_equal(masks_of(None, path, position=position), MASKS * (number + 1))
        movie = open_movie(None, path, selection=Selection(position=position))
        assert movie.frame_interval_s == number + 1
    assert "contains 2 images (left, right); choose one with position" in error_of(None, path)
    assert "choose one with position" in error_of(None, path, position="2")


def test_a_coarser_level_has_larger_voxels(tmp_path):
    image = write_image(tmp_path / "image", MASKS, "tyx", n_levels=3)
    for level in range(3):
        movie = open_movie(None, image, selection=Selection(level=level))
        step = 2**level
        np.testing.assert_array_equal([f.labels for f in movie], MASKS[:, ::step, ::step])
        assert movie.voxel_um == pytest.approx((0.5 * step, 0.25 * step))
        assert movie.frame_interval_s == 120
    assert "no level 3; its 3 levels are counted from 0" in error_of(None, image, level=3)
    assert "no level -1" in error_of(None, image, level=-1)


def test_masks_next_to_images_use_the_level_if_they_have_several(tmp_path):
    images = write_image(tmp_path / "images", IMAGES, "tyx", n_levels=2)
    one = write_image(tmp_path / "one", MASKS[:, ::2, ::2], "tyx")
    two = write_image(tmp_path / "two", MASKS, "tyx", n_levels=2)
    for masks in (one, two, MASKS[:, ::2, ::2]):
        np.testing.assert_array_equal(masks_of(images, masks, level=1), MASKS[:, ::2, ::2])
    assert "20 x 24 but masks" in error_of(images, MASKS, level=1)
    assert "two has no level 2" in error_of(
        write_image(tmp_path / "three", IMAGES, "tyx", n_levels=3), two, level=2
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_labels_are_masks_by_their_path_or_if_they_are_the_only_ones(tmp_path, zarr_format, caplog):
    image = write_image(tmp_path / "image", TWO, "tcyx", zarr_format=zarr_format)
    labels = write_labels(image, "nuclei", MASKS, "tyx")
    np.testing.assert_array_equal(masks_of(image, labels, channel=0), MASKS)
    np.testing.assert_array_equal(images_of(image, labels, channel=1), TWO[:, 1])
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(masks_of(image, image, channel=0), MASKS)
    assert f"masks are the labels {labels}" in caplog.text
    np.testing.assert_array_equal(masks_of(None, image / "labels"), MASKS)
    write_labels(image, "cells", MASKS, "tyx")
    assert "image contains 2 label images, cells, nuclei; give the path" in error_of(None, image)
    assert "contains cells, nuclei" in error_of(None, image / "labels" / "nulcei")


def test_images_without_labels_are_not_used_as_masks(tmp_path):
    fields = {"A/1/0": IMAGES, "A/2/0": IMAGES}
    plate = write_plate(tmp_path / "plate.zarr", fields, "tyx")
    write_labels(plate / "A/1/0", "nuclei", MASKS, "tyx")
    np.testing.assert_array_equal(masks_of(plate, plate, position="A/1/0"), MASKS)
    sentence = "A/2/0 is given as images and as masks; give the path of the masks"
    assert sentence in error_of(plate, plate, position="A/2/0")


def test_axes_of_masks_follow_those_of_images(tmp_path):
    """Unless they name their own axes, or an option does."""
    images = tmp_path / "images.tif"
    tifffile.imwrite(images, TWO.swapaxes(0, 1), photometric="minisblack")
    for masks in (MASKS, write_image(tmp_path / "masks", MASKS, "tyx")):
        np.testing.assert_array_equal(masks_of(images, masks, axes="ctyx", channel=1), MASKS)
        np.testing.assert_array_equal(
            images_of(images, masks, axes="ctyx", channel=1), TWO.swapaxes(0, 1)[1]
        )
    turned = MASKS.transpose(1, 2, 0)
    chosen = {"axes": "CTYX", "channel": 0, "mask_axes": "yxt"}
    np.testing.assert_array_equal(masks_of(images, turned, **chosen), MASKS)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_z_axis_of_one_plane_makes_no_volumes(tmp_path, zarr_format):
    """Many programs always write all five axes; masks need not have them."""
    image = write_image(tmp_path / "image", TWO[:, :, None], "tczyx", zarr_format=zarr_format)
    full = write_labels(image, "full", MASKS[:, None, None], "tczyx")
    for masks in (full, MASKS):
        np.testing.assert_array_equal(images_of(image, masks, channel=1), TWO[:, 1])
        np.testing.assert_array_equal(masks_of(image, masks, channel=1), MASKS)
    assert open_movie(None, full).voxel_um == pytest.approx((0.5, 0.25))
    told = {"axes": "tczyx", "channel": 1}
    np.testing.assert_array_equal(images_of(TWO[:, :, None], MASKS, **told), TWO[:, 1])
    np.testing.assert_array_equal(masks_of(TWO[:, :, None], MASKS[:, None], **told), MASKS)


def test_images_and_masks_may_be_channels_of_one_file(tmp_path):
    path = tmp_path / "both.tif"
    tifffile.imwrite(path, np.stack([IMAGES, MASKS], 1), imagej=True, metadata={"axes": "TCYX"})
    chosen = {"channel": 0, "mask_channel": 1}
    np.testing.assert_array_equal(images_of(path, path, **chosen), IMAGES)
    np.testing.assert_array_equal(masks_of(path, path, **chosen), MASKS)
    assert "both.tif has 2 channels; choose one with mask_channel" in error_of(path, path)


def test_messages_name_the_option_that_was_given_or_would_help(tmp_path):
    """Masks without images are chosen by the options of images, unless by their own."""
    path = tmp_path / "both.tif"
    tifffile.imwrite(path, TWO, imagej=True, metadata={"axes": "TCYX"})
    assert "choose one with channel, a number" in error_of(None, path)
    assert "give channel a number" in error_of(None, path, channel=2)
    assert "give mask_channel a number" in error_of(None, path, mask_channel=2)
    assert "give mask_channel a number" in error_of(path, path, channel=0, mask_channel=2)
    assert "give channel a number" in error_of(path, path, channel=2, mask_channel=0)
    for images, axes, channel in (
        (None, "axes", "channel"),
        (MASKS, "mask_axes", "mask_channel"),
    ):
        sentence = error_of(images, TWO[:, :, None])
        assert f"name its axes with {axes}, such as tcyx, and choose a channel with {channel}" in (
            sentence
        )


def test_a_colour_is_a_channel(tmp_path):
    colours = np.stack([MASKS, MASKS * 2, MASKS * 3], axis=-1).astype(np.uint8)
    for options in ({}, {"imagej": True, "metadata": {"axes": "TYXS"}}, {"compression": "zlib"}):
        path = tmp_path / "rgb.tif"
        tifffile.imwrite(path, colours, photometric="rgb", **options)
        np.testing.assert_array_equal(masks_of(None, path, channel=2), MASKS * 3)
        assert "rgb.tif is a colour picture, and colours are no labels" in error_of(None, path)


def test_guessed_axes_are_reported(tmp_path, caplog):
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, TWO, photometric="minisblack")
    images_of(path, MASKS, channel=1)
    assert "two.tif does not name the time axis; read as (t, c, y, x)" in caplog.text
    caplog.clear()
    masks_of(None, MASKS)
    masks_of(None, write_image(tmp_path / "image", MASKS, "tyx"))
    assert not [record for record in caplog.records if record.name.startswith("trackastra")]


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        ({"axes": "tcyx"}, "has 3 axes, (5, 40, 48), but tcyx names 4"),
        ({"axes": "tqyx"}, "the axes are 'tqyx'; give a letter for each"),
        ({"axes": "tty"}, "the axes are 'tty'; give a letter for each"),
        ({"axes": "zyx"}, "is a movie of one frame"),
        ({"channel": 0}, "has no channels, its axes are (t, y, x)"),
        ({"position": "A/1"}, "has no positions; leave position out"),
        ({"level": 1}, "has no levels; leave level out"),
        ({"axes": "cyx", "channel": 5}, "has no channel 5, but 5 channels; give"),
        ({"axes": "cyx", "channel": "GFP"}, "has no channel GFP, but 5 channels; give"),
    ],
)
def test_options_that_masks_do_not_have_are_rejected(tmp_path, selection, sentence):
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, MASKS, imagej=True, metadata={"axes": "TYX"})
    for source in (path, MASKS):
        assert sentence in error_of(None, source, **selection)


def test_a_wrong_name_of_a_channel_lists_the_existing_names(tmp_path):
    image = write_image(tmp_path / "image", TWO, "tcyx", channels=("DAPI", "GFP"))
    assert "image has 2 channels (DAPI, GFP); choose one with channel" in error_of(image, MASKS)
    assert "no channel RFP, but 2 channels (DAPI, GFP)" in error_of(image, MASKS, channel="RFP")


@pytest.mark.parametrize("address", ["ftp://host/a.zarr", "gs://b/a.tif"])
def test_addresses_are_rejected(address):
    """As text, and as a path, which loses a slash."""
    for source in (address, Path(address)):
        assert f"the masks are at {address}, which is not a path on" in error_of(None, source)


def test_the_stamp_of_a_frame_depends_on_its_channel(tmp_path):
    stack, folder = tmp_path / "stack.tif", tmp_path / "frames"
    tifffile.imwrite(stack, TWO, photometric="minisblack")
    write_folder(folder, TWO)
    for source in (stack, folder):
        assert set(stamps_of(source, channel=0)).isdisjoint(stamps_of(source, channel=1))


def test_the_stamp_of_a_frame_depends_on_its_level(tmp_path):
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(MASKS, subifds=1, metadata={"axes": "TYX"})
        file.write(MASKS[:, ::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(masks_of(None, path, level=1), MASKS[:, ::2, ::2])
    assert set(stamps_of(path)).isdisjoint(stamps_of(path, level=1))


def test_axes_other_than_those_of_planes_are_rejected_in_files(tmp_path):
    stack, folder, two = tmp_path / "stack.tif", tmp_path / "frames", tmp_path / "two.tif"
    tifffile.imwrite(stack, MASKS[:, :, :40], photometric="minisblack")  # also if it is square
    write_folder(folder, MASKS)
    tifffile.imwrite(two, TWO, imagej=True, metadata={"axes": "TCYX"})
    for path, axes in ((stack, "txy"), (folder, "txy"), (stack, "xyt"), (stack, "yxt")):
        assert f"consists of planes (y, x), so its axes cannot be {axes}" in error_of(
            None, path, axes=axes
        )
    assert "cannot be xyct" in error_of(None, two, axes="xyct", channel=0)
    np.testing.assert_array_equal(masks_of(None, MASKS.swapaxes(1, 2), axes="txy"), MASKS)


def test_axes_of_masks_that_the_images_name_cause_no_warning(caplog):
    last = np.moveaxis(MASKS, 0, -1)
    np.testing.assert_array_equal(masks_of(last, last, axes="yxt"), MASKS)
    assert "time is the last axis" not in caplog.text
    masks_of(None, last)
    assert "if time is the last axis, specify it with axes" in caplog.text


# The command line -------------------------------------------------------------------------------


def test_track_accepts_a_channel_a_position_and_a_level(tmp_path):
    plate = write_plate(tmp_path / "plate.zarr", {"A/1/0": TWO, "A/2/0": TWO}, "tcyx")
    write_labels(plate / "A/2/0", "nuclei", MASKS, "tyx")
    chosen = ("--channel", 1, "--position", "A/2/0")
    done = run("track", plate, plate, *chosen, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    expected = run("track", "--masks", plate / "A/2/0", "-o", tmp_path / "alone")
    assert expected.exit_code == 0
    edges = [(tmp_path / name / "edges.csv").read_text() for name in ("out", "alone")]
    assert len(edges[0].splitlines()) == len(edges[1].splitlines()) > 5


@pytest.mark.parametrize(
    "chosen",
    [
        ("--channel", 2),
        ("--position", "A/1"),
        ("--level", 1),
        ("--axes", "tyx"),
        ("--axes", "tqx"),
        ("--mask-channel", 1),
        (),
    ],
)
def test_track_reports_a_wrong_choice_in_one_sentence(tmp_path, chosen):
    image = write_image(tmp_path / "image.zarr", TWO, "tcyx")
    masks = write_labels(image, "nuclei", MASKS, "tyx")
    done = run("track", image, masks, *chosen, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_bench_accepts_the_same_options(tmp_path):
    image = write_image(tmp_path / "image.zarr", TWO, "tcyx")
    done = run("bench", "--images", image, "--masks", image, "--channel", 5, "--mask-channel", 1)
    assert done.exit_code == 2
    assert "image.zarr has no channel 5, but 2 channels" in done.stderr


def test_points_have_no_axes(tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("frame,y,x\n0,1,1\n1,1,1\n")
    done = run("track", points, "--axes", "tyx", "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "points have no axes" in done.stderr
