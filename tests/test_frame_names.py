"""Frames are known by the numbers in file names, not only by the order of the files."""

import logging
import os

import numpy as np
import pytest
import tifffile

from command_line import run
from small_movies import dividing_cell, write_folder
from trackastra_engine.errors import InputError
from trackastra_engine.evaluation import evaluate
from trackastra_engine.movie.frame_names import find_series
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection

IMAGES, MASKS = dividing_cell()

# Names of one series each, in the order of the frames.
ONE_SERIES = {
    "zero-padded": ["t000", "t001", "t002"],
    "not padded": ["m2-t9", "m2-t10", "m2-t11"],
    "hours": ["m_0h", "m_0.25h", "m_0.5h", "m_0.75h", "m_1h", "m_1.25h"],
    "decimals": ["t0.25", "t0.5", "t0.75", "t1.0"],
    "a version, not a decimal": ["movie1.9", "movie1.10", "movie1.11"],
    "Incucyte": ["Exp_B2_1_00d22h30m", "Exp_B2_1_00d23h15m", "Exp_B2_1_01d00h00m"],
    "Incucyte with dates": ["V1_B2_1_2021y03m02d_23h00m", "V1_B2_1_2021y03m03d_00h00m"],
    "Micro-Manager 1": ["img_000000000_DAPI_000", "img_000000001_DAPI_000"],
    "Micro-Manager 2": [f"img_channel000_position001_time{number:09}_z000" for number in range(3)],
    "ImageXpress": [
        "TimePoint_9/P_B02_s1_w1A1B2C3D4-0000-4000-8000-00000000000F",
        "TimePoint_10/P_B02_s1_w1A1B2C3D4-0000-4000-8000-000000000001",
    ],
    "MetaMorph": ["exp_w1DAPI_s1_t9", "exp_w1DAPI_s1_t10"],
    "Leica": ["Project_Series001_t00_ch00", "Project_Series001_t01_ch00"],
    "Zeiss": ["exp_s01t09", "exp_s01t10"],
    "Yokogawa": ["W_B03_T0001F001L01A01Z01C01", "W_B03_T0002F001L01A01Z01C01"],
    "Operetta": ["r01c01f01p01-ch1sk9fk1fl1", "r01c01f01p01-ch1sk10fk1fl1"],
    "a frame and its time": [f"img_{i:04}_20210301_1200{i * 7:02}" for i in (1, 2, 3)],
    "a frame and a clock": [f"im_{i:04}_12-{i * 7 // 60:02}-{i * 7 % 60:02}" for i in range(1, 30)],
    "a clock": ["im_12-40-50", "im_12-50-10", "im_13-00-20", "im_13-10-00"],
    "a date and an index": [f"20210301_{i:06}" for i in (58, 59, 60, 61)],
    "a frame and a number of its own": ["im_000_007", "im_001_003", "im_002_005"],
    "days and hours": ["e_day0_hour18", "e_day1_hour0", "e_day1_hour6"],
    "days and hours with units": ["00d_18h", "01d_00h", "01d_06h"],
    "days and hours joined": ["m_1d18h", "m_2d0h", "m_2d6h"],
    "days, hours and minutes": ["Day 1 23h30m", "Day 2 00h00m", "Day 2 00h30m"],
    "minutes and seconds": ["m_00min30s", "m_01min00s", "m_01min30s"],
    "decimal commas": ["m_0,5s", "m_1,0s", "m_1,5s"],
    "days of two months": ["m_30.03.2021", "m_31.03.2021", "m_01.04.2021"],
    "days of two months, year first": ["m_2021-03-30", "m_2021-03-31", "m_2021-04-01"],
    "days of two months, day first": ["m_30_03_2021", "m_31_03_2021", "m_01_04_2021"],
    "days of two months with dashes": ["m 30-03-2021", "m 31-03-2021", "m 01-04-2021"],
    "days of two months without marks": ["m30032021", "m31032021", "m01042021"],
    "such days, and an index": ["m_31032021_1", "m_31032021_2", "m_01042021_3"],
    "an index like a day": [f"m_{i:08}" for i in (12012019, 12012020, 12012021)],
    "only a letter": ["f001", "f002", "f003"],
}
# Names of several series, and the names of the series.
MANY_SERIES = {
    "wells": (["E_B2_1_00d00h00m", "E_B2_1_00d01h00m", "E_B3_1_00d00h00m"], "E_B2_1_*"),
    "wells of other times": (["E_B2_t0", "E_B2_t1", "E_B3_t2", "E_B3_t3"], "E_B2_t*"),
    "rows of wells": (["E_A1_t0", "E_A1_t1", "E_B1_t0", "E_B1_t1"], "E_A1_t*"),
    "positions alone": (["MMStack_Pos0.ome", "MMStack_Pos1.ome"], "MMStack_Pos0.ome"),
    "positions": (["Pos0_t0", "Pos0_t1", "Pos1_t0", "Pos1_t1"], "Pos0_t*"),
    "planes": (["img_000000000_A_000", "img_000000000_A_001",
                "img_000000001_A_000", "img_000000001_A_001"], "img_*_A_000"),
    "channels": (["s1_w1_t1", "s1_w1_t2", "s1_w2_t1", "s1_w2_t2"], "s1_w1_t*"),
    "channels at one time": (["t1_w1", "t1_w2"], "t1_w1"),
    "two indices that go on": (["img1-5", "img1-6", "img2-1"], "img1-*"),
    "two indices": (["1_001", "1_002", "2_001", "2_002"], "1_*"),
    "months, then days": (["m_03-30-2021", "m_03-31-2021", "m_04-01-2021", "m_04-02-2021"],
                          "m_03-*-2021"),
    "days or months first": (["m_03-05-2021", "m_03-12-2021", "m_04-02-2021", "m_04-09-2021"],
                             "m_03-*-2021"),
    "dishes and hours": (["d1_h0", "d1_h6", "d2_h0", "d2_h6"], "d1_h*"),
    "wells, days and hours": (["B2_1d_0h", "B2_1d_6h", "B3_1d_0h", "B3_2d_6h"], "B2_*h"),
    "a copy": (["t1", "t2", "t3", "t3 (1)"], "t*"),
}  # fmt: skip


@pytest.mark.parametrize("names", ONE_SERIES.values(), ids=ONE_SERIES)
def test_names_of_microscopes_are_one_series_in_order(names):
    (series,) = find_series(reversed(names))
    assert list(series.files) == names
    assert list(series.numbers) == sorted(set(series.numbers))
    assert series.gaps() == []


@pytest.mark.parametrize(("names", "pattern"), MANY_SERIES.values(), ids=MANY_SERIES)
def test_wells_positions_channels_and_copies_are_separate_series(names, pattern):
    series = find_series(names)
    assert len(series) >= 2
    assert series[0].pattern == pattern
    assert sorted(name for one in series for name in one.files) == sorted(names)


def test_a_missing_frame_with_a_clock_is_a_gap():
    names = [f"im_{i:04}_12-{i * 7 // 60:02}-{i * 7 % 60:02}" for i in range(1, 30) if i != 9]
    (series,) = find_series(names)
    assert series.gaps() == [(names[7], names[8], 1)]


def error_of(images, masks, **selection):
    with pytest.raises(InputError) as caught:
        open_movie(images, masks, selection=Selection(**selection))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels_of(movie):
    return np.stack([frame.labels for frame in movie])


def test_hours_are_sorted_by_value(tmp_path):
    """1.25h is after 1h, and 0h before 0.25h."""
    folder = tmp_path / "m"
    folder.mkdir()
    for number, mask in enumerate(MASKS):
        tifffile.imwrite(folder / f"m_{number / 4:g}h.tif", mask)
    np.testing.assert_array_equal(labels_of(open_movie(None, folder)), MASKS)


def test_planes_of_volumes_are_not_taken_for_frames_without_a_word(tmp_path, caplog):
    planes = write_folder(tmp_path / "planes", MASKS, "stack_z{:03}.tif")
    open_movie(None, planes)
    assert "if these are planes of one volume, save each volume as one file" in caplog.text
    write_folder(tmp_path / "more", MASKS[:2], "t0_z{}.tif")
    for path in write_folder(tmp_path / "other", MASKS[:2], "t1_z{}.tif").iterdir():
        path.rename(tmp_path / "more" / path.name)
    sentence = error_of(None, tmp_path / "more")
    assert "contains 2 series, t*_z0.tif (2 files), t*_z1.tif (2 files)" in sentence
    assert sentence.endswith("or save the planes of each volume as one file")


def test_images_and_masks_are_paired_by_their_numbers(tmp_path):
    images = write_folder(tmp_path / "images", IMAGES)
    masks = write_folder(tmp_path / "masks", MASKS, "cell_{}_mask.tif")
    open_movie(images, masks)
    (images / "t001.tif").unlink()
    (masks / "cell_3_mask.tif").unlink()
    sentence = error_of(images, masks)
    assert "there is no mask for" in sentence
    assert "t003.tif and there is no image for" in sentence
    assert "cell_1_mask.tif; give one mask for each image" in sentence
    done = run("track", images, masks, "-o", tmp_path / "out")
    assert done.exit_code == 2


def test_masks_that_count_from_another_number_are_paired_in_order_with_a_warning(tmp_path, caplog):
    images = write_folder(tmp_path / "images", IMAGES)
    masks = tmp_path / "masks"
    masks.mkdir()
    for number, mask in enumerate(MASKS, 1):
        tifffile.imwrite(masks / f"m{number}.tif", mask)
    movie = open_movie(images, masks)
    np.testing.assert_array_equal(labels_of(movie), MASKS)
    assert "images are numbered from 0 to 5 but masks from 1 to 6; they are paired" in caplog.text


def test_a_missing_frame_is_reported(tmp_path, caplog):
    images, masks = (write_folder(tmp_path / kind, MASKS) for kind in ("images", "masks"))
    for folder in (images, masks):
        (folder / "t002.tif").unlink()
    assert len(open_movie(images, masks)) == 5
    assert "a frame is missing between t001 and t003; the frames on both sides" in caplog.text


def test_times_of_day_that_may_pass_midnight_are_rejected(tmp_path):
    times = ["22-30-00", "23-00-00", "23-30-00", "00-00-00", "00-30-00", "01-00-00"]
    night = write_folder(tmp_path / "night", MASKS, "im_{}.tif")
    for number, time in enumerate(times):
        (night / f"im_{number}.tif").rename(night / f"im_{time}.tif")
    sentence = error_of(None, night)
    assert "night contains the times of day im_00-00-00, im_00-30-00," in sentence
    assert sentence.endswith("midnight; add dates to the names, such as 2024-01-31_21-00-00")
    for number, time in enumerate(times):
        dated = f"im_2024-01-{30 + number // 3}_{time}.tif"
        (night / f"im_{time}.tif").rename(night / dated)
    np.testing.assert_array_equal(labels_of(open_movie(None, night)), MASKS)


@pytest.mark.parametrize(
    ("hours", "is_warned"),
    [((21, 22, 23, 0, 1, 2), True), ((0, 1, 2, 3, 4, 6), False), ((0, 4, 8, 12, 16, 20), False)],
)
def test_hours_that_may_pass_midnight_cause_a_warning(tmp_path, caplog, hours, is_warned):
    folder = tmp_path / "m"
    folder.mkdir()
    for hour, mask in zip(hours, MASKS, strict=True):
        tifffile.imwrite(folder / f"m_{hour:02}h30m.tif", mask)
    open_movie(None, folder)
    sentence = "in the order m_00h30m, m_01h30m, m_02h30m, m_21h30m, ...; if these are times of day"
    assert (sentence in caplog.text) == is_warned


def test_every_tenth_frame_is_a_movie_without_a_warning(tmp_path, caplog):
    folder = tmp_path / "m"
    folder.mkdir()
    for number, mask in enumerate(MASKS):
        tifffile.imwrite(folder / f"t{10 * number}.tif", mask)
    np.testing.assert_array_equal(labels_of(open_movie(None, folder)), MASKS)
    assert not caplog.text


def test_two_files_of_one_frame_are_rejected(tmp_path):
    folder = write_folder(tmp_path / "m", MASKS)
    tifffile.imwrite(folder / "t3.tif", MASKS[3])
    assert "two files of one frame, t003.tif and t3.tif; remove one" in error_of(None, folder)


def test_a_copy_next_to_the_frames_is_named(tmp_path):
    folder = write_folder(tmp_path / "m", MASKS)
    tifffile.imwrite(folder / "t003 (1).tif", MASKS[3])
    sentence = error_of(None, folder)
    assert (
        "contains t003 (1).tif, not named like the 6 files t*.tif; remove it, or choose" in sentence
    )


def test_a_link_to_nothing_is_named(tmp_path):
    """As from git-annex for files that were not fetched."""
    folder = write_folder(tmp_path / "m", MASKS)
    (folder / "t002.tif").unlink()
    os.symlink("nowhere.tif", folder / "t002.tif")
    assert "t002.tif is a link to a missing file; fetch it" in error_of(None, folder)


def test_placeholders_of_git_lfs_and_git_annex_are_named(tmp_path):
    for text in ("version https://git-lfs.github.com/spec/v1\n", "/annex/objects/MD5E-s99.tif\n"):
        folder = write_folder(tmp_path / text[1:5], MASKS)
        (folder / "t000.tif").write_text(text)
        assert "t000.tif is a placeholder for a file that was not fetched" in error_of(None, folder)


def test_a_folder_of_movies_is_not_taken_for_volumes_without_a_warning(tmp_path, caplog):
    folder = tmp_path / "m"
    folder.mkdir()
    for number in range(2):
        tifffile.imwrite(folder / f"m{number}.tif", MASKS, metadata={"axes": "TYX"}, imagej=True)
    open_movie(None, folder)
    assert "m0.tif is a movie of 6 planes, but is read as one frame" in caplog.text


def test_a_folder_of_folders_gets_a_hint(tmp_path):
    write_folder(tmp_path / "m" / "ch0", MASKS)
    write_folder(tmp_path / "m" / "ch1", MASKS)
    assert "or one TIFF stack, such as one of the folders in it, ch0, ch1" in error_of(
        None, tmp_path / "m"
    )


@pytest.fixture
def two_wells(tmp_path):
    folder = tmp_path / "wells"
    folder.mkdir()
    for well, masks in (("B2", MASKS[:3]), ("B3", MASKS[3:])):
        for hour, mask in enumerate(masks):
            tifffile.imwrite(folder / f"Exp_{well}_1_00d{hour:02}h00m.tif", mask)
    return folder


def test_two_wells_in_a_folder_are_rejected_by_name(two_wells, tmp_path):
    done = run("track", "--masks", two_wells, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "contains 2 series, Exp_B2_1_*.tif (3 files), Exp_B3_1_*.tif (3 files);" in done.stderr
    assert 'choose one with --mask-pattern, such as --mask-pattern "Exp_B2_1_*"' in done.stderr


@pytest.mark.parametrize(
    "pattern", ["Exp_B3_1_*", "Exp_B3_1_*.tif", r"B3_1_00d(?P<frame>\d+)h", "*_B3_*"]
)
def test_a_pattern_chooses_one_of_several_series(two_wells, pattern):
    movie = open_movie(None, two_wells, selection=Selection(pattern=pattern))
    np.testing.assert_array_equal(labels_of(movie), MASKS[3:])


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("C*", "but none fits C*"),
        (r"(?P<frame>\d", "is no regular expression"),
        (r"Exp_(?P<frame>B\d)", "its group frame must match a number"),
    ],
)
def test_patterns_without_a_match_or_with_errors_are_rejected(two_wells, pattern, reason):
    assert reason in error_of(None, two_wells, pattern=pattern)


def test_a_pattern_is_for_folders_only(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", MASKS)
    assert "is no folder of files; leave pattern out" in error_of(
        None, tmp_path / "m.tif", pattern="*"
    )


def test_masks_of_cellpose_are_next_to_the_images(tmp_path):
    folder = write_folder(tmp_path / "both", IMAGES, "img_{:03}.tif")
    for number, mask in enumerate(MASKS):
        tifffile.imwrite(folder / f"img_{number:03}_cp_masks.tif", mask)
        tifffile.imwrite(folder / f"img_{number:03}_flows.tif", np.zeros((9, 9), np.float32))
    movie = open_movie(folder, folder)
    np.testing.assert_array_equal(labels_of(movie), MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)


def test_masks_next_to_images_are_known_by_a_word(tmp_path):
    """CellProfiler saves objects next to images, with a word after the name."""
    folder = write_folder(tmp_path / "both", IMAGES, "img_{:03}.tiff")
    for number, mask in enumerate(MASKS):
        tifffile.imwrite(folder / f"img_{number:03}_CellObjects.tiff", mask)
    movie = open_movie(folder, folder)
    np.testing.assert_array_equal(labels_of(movie), MASKS)
    np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)


def test_timepoints_of_imagexpress_are_folders(tmp_path):
    for number, mask in enumerate(MASKS, 6):
        place = tmp_path / "plate" / f"TimePoint_{number}"
        place.mkdir(parents=True)
        tifffile.imwrite(place / "P_B02_s1_w1.TIF", mask)
        tifffile.imwrite(place / "P_B02_s1_w1_thumb.TIF", mask[::4, ::4])
    np.testing.assert_array_equal(labels_of(open_movie(None, tmp_path / "plate")), MASKS)


def test_names_without_numbers_are_read_in_order_with_a_warning(tmp_path, caplog):
    folder = tmp_path / "m"
    folder.mkdir()
    for name, mask in zip("abcdef", MASKS, strict=True):
        tifffile.imwrite(folder / f"{name}.tif", mask)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(labels_of(open_movie(None, folder)), MASKS)
    assert "have no common number of the frame; read in the order a.tif, b.tif" in caplog.text


def test_other_frames_are_not_compared(tmp_path):
    """A truth without its first frame, and tracks without their last: both have five files."""
    tracks = "1 0 4 0\n"
    one = np.broadcast_to((MASKS[:1] == 1).astype(np.uint16), (5, 40, 48))
    found = write_folder(tmp_path / "found", one, "mask{:03}.tif")
    (found / "res_track.txt").write_text(tracks)
    truth = tmp_path / "truth"
    truth.mkdir()
    for number, mask in enumerate(one, 1):
        tifffile.imwrite(truth / f"man_track{number:03}.tif", mask)
    (truth / "man_track.txt").write_text(tracks)
    with pytest.raises(InputError, match=r"frame 0 of the tracks is .*; give files of the same"):
        evaluate(found, truth)
    (truth / "man_track003.tif").unlink()
    with pytest.raises(InputError, match="a frame is missing between man_track002 and man_trac"):
        evaluate(found, truth)
