"""Masks that are not labelled give one warning; masks of labelled cells, however odd, give none."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.ndimage import binary_erosion, gaussian_filter, zoom

from benchmarks.spoiled_masks import spoiled
from benchmarks.true_movies import as_true_movie
from command_line import run
from small_movies import write_folder
from test_streaming import RandomModel
from trackastra_engine import Tracker
from trackastra_engine.detection.detections import detect
from trackastra_engine.detection.frame_check import FrameWatch
from trackastra_engine.detection.label_check import LabelWatch
from trackastra_engine.linking import linker
from trackastra_engine.movie.frames import Frame
from trackastra_engine.online import Session
from trackastra_engine.simulation import random_parameters, render

Y, X = np.mgrid[:64, :64]


def disc(y, x, radius):
    return np.hypot(Y - y, X - x) < radius


def cells():
    """Return the labelled mask (64, 64) of nine separate cells."""
    mask = np.zeros(Y.shape, np.uint16)
    for label in range(9):
        mask[disc(10 + 20 * (label // 3), 10 + 20 * (label % 3), 6)] = label + 1
    return mask


def packed_cells():
    """Return the binary mask (64, 64) of square cells, one pixel apart."""
    return ((Y % 8 > 0) & (X % 8 > 0)).astype(np.uint8)


def volume():
    return np.stack([0 * cells(), *[cells()] * 4, 0 * cells()])


def image():
    rng = np.random.default_rng(0)
    return rng.poisson(100 + 100 * (cells() > 0)).astype(np.uint16)


def frames_until_warning(masks):
    """Return the frames whose pixels a watch reads until its first warning, or to the end."""
    watch, looked_at = LabelWatch(), []
    for index, mask in enumerate(masks):
        mask = mask.astype(np.uint16)

        def read_labels(index=index, mask=mask):
            looked_at.append(index)
            return mask

        found = detect(Frame(index, None, mask), mask.ndim)
        watch.see(found, mask.shape, read_labels, f"frame {index}")
    return looked_at


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (cells() > 0, "label 1 of frame 0 has 9 separate pieces"),
        (255 * (cells() > 0), "label 255 of frame 0 has 9 separate pieces"),
        (1 + (cells() > 0), "label 2 of frame 0 has 9 separate pieces"),  # 1: background
        (packed_cells(), "label 1 of frame 0 has 64 separate pieces"),
        (volume() > 0, "label 1 of frame 0 has 9 separate pieces"),
        (image(), "objects of frame 0 are scattered like the pixels"),
        (np.stack([image(), image().T]), "objects of frame 0 are scattered like the pixels"),
    ],
    ids=["0/1", "0/255", "1/2", "packed", "volume", "image", "image of a volume"],
)
def test_masks_that_are_not_labelled_give_one_warning(mask, sentence, caplog):
    frames_until_warning([mask, mask, mask])
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert sentence in record.getMessage()


@pytest.mark.parametrize("scale", [0.5, 0.7, 1, 1.5])
@pytest.mark.parametrize("n_cells", [9, 90])
def test_masks_after_interpolation_give_a_warning(scale, n_cells, caplog):
    tiles = np.block([[cells()] * (n_cells // 9)])
    mask = np.where(tiles > 0, tiles + 9 * (np.arange(tiles.shape[1]) // 64), 0)
    order = np.random.default_rng(0).permutation(n_cells) + 1
    mask = np.append(0, order)[mask].astype(float)
    smooth = zoom(mask, scale, order=1) if scale != 1 else gaussian_filter(mask, 0.6)
    frames_until_warning([np.rint(smooth)] * 2)
    (record,) = caplog.records
    assert "resize" in record.getMessage()
    caplog.clear()
    assert frames_until_warning([zoom(mask, scale, order=0)]) == []
    assert caplog.text == ""


def test_a_colony_that_grows_from_one_cell_gives_a_later_warning(caplog):
    mask, numbers = cells(), ([1], [1, 9], [1, 9], [1, 5, 9], range(1, 10), range(1, 10))
    # Two pieces may be a cell that divides.
    assert frames_until_warning([np.isin(mask, shown) for shown in numbers]) == [1, 2, 4]
    (record,) = caplog.records
    assert "label 1 of frame 4 has 9 separate pieces" in record.getMessage()


def line():
    return (Y == 30) & (X >= 10) & (X < 50)


def filament():
    t = np.linspace(0, 1, 4000)
    mask = np.zeros(Y.shape, bool)
    mask[(32 + 25 * np.sin(9 * t)).astype(int), (5 + 50 * t).astype(int)] = True
    return mask


def speckled():
    return disc(32, 32, 10) | (np.random.default_rng(0).random(Y.shape) < 0.02)


@pytest.mark.parametrize(
    "shape",
    [
        line(),
        Y == X,
        (8 * Y < X) | (8 * (63 - Y) < X),
        disc(32, 32, 30) & ~disc(32, 32, 28),
        abs(Y - 32) + abs(X - 32) == 25,
        disc(32, 32, 30) & ~disc(36, 30, 8),
        disc(14, 32, 12) | disc(50, 32, 12),
        disc(20, 20, 3) | disc(20, 30, 3) | disc(27, 25, 3),
        filament(),
        speckled(),
    ],
    ids=[
        "line",
        "diagonal",
        "wedge",
        "ring",
        "diamond",
        "hole",
        "dividing",
        "broken",
        "filament",
        "speckled",
    ],
)
def test_one_cell_of_any_shape_gives_no_warning(shape, caplog):
    looked_at = frames_until_warning([shape] * 9)
    frames_until_warning([np.stack([shape] * 3)] * 2)
    assert caplog.text == ""
    assert set(looked_at) <= {0, 1, 3, 7}  # ever fewer, so that a long movie costs nothing


def test_masks_of_labelled_cells_are_not_even_read(caplog):
    outlines = np.where(binary_erosion(cells() > 0), 0, cells())
    assert frames_until_warning([cells(), outlines, volume()[2], 0 * cells()]) == []
    assert frames_until_warning([volume(), 0 * volume()]) == []
    assert caplog.text == ""


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_of_simulated_cells_only_the_images_give_warnings(ndim, seed, caplog):
    parameters = random_parameters(np.random.default_rng(seed), ndim=ndim, max_cells=40)
    movie = render(parameters, seed)
    frames_until_warning(movie.masks)
    frames_until_warning(spoiled(as_true_movie(movie, parameters.z_step), seed).masks)
    assert caplog.text == ""
    frames_until_warning(movie.images)
    assert "scattered like the pixels" in caplog.text


def warnings_of(masks, caplog):
    """Return the warnings of a movie."""
    labels_watch, frames_watch = LabelWatch(), FrameWatch()
    for index, mask in enumerate(masks):
        found = detect(Frame(index, None, mask), mask.ndim)
        labels_watch.see(found, mask.shape, lambda mask=mask: mask, f"frame {index}")
        frames_watch.see(found)
    frames_watch.finish("the masks")
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def moving(mask, n_frames=4):
    return np.stack([np.roll(mask, step, axis=0) for step in range(n_frames)])


def test_repeated_frames_give_a_warning(caplog):
    masks = moving(cells(), 9)
    masks[[2, 6, 7]] = masks[[1, 5, 5]]
    (sentence,) = warnings_of(masks, caplog)
    assert sentence.startswith(
        "the masks has the same objects as in the frame before in frames 2, 6 to 7; check that no"
    )


def test_objects_that_never_move_give_no_warning(caplog):
    assert warnings_of(np.stack([cells()] * 5), caplog) == []


def test_frames_without_objects_give_a_warning(caplog):
    masks = moving(cells(), 12)
    masks[[1, 5, 6, 7, 11]] = 0
    (sentence,) = warnings_of(masks, caplog)
    assert sentence == "the masks has no object in frames 1, 5 to 7, 11; check the segmentation"


def test_cells_that_enter_and_leave_one_by_one_give_no_warning(caplog):
    masks = moving(cells(), 12)
    for frame, n_cells in enumerate([0, 0, 1, 2, 4, 9, 6, 3, 2, 1, 0, 0]):
        masks[frame][masks[frame] > n_cells] = 0
    assert warnings_of(masks, caplog) == []


@pytest.mark.parametrize("spoil", ["background", "outlines"])
def test_a_background_with_a_number_gives_a_warning(spoil, caplog):
    masks = moving(cells())
    if spoil == "background":
        masks[masks == 0] = 10
    else:
        masks[(masks > 0) & ~binary_erosion(masks > 0, np.ones((1, 3, 3)))] = 10
    (sentence,) = warnings_of(masks, caplog)
    assert sentence.startswith("label 10 of frame 0 extends over the frame and touches most other")


@pytest.mark.parametrize("shape", [disc(32, 32, 25), abs(np.hypot(Y - 32, X - 32) - 26) < 1.5])
def test_a_wide_object_among_small_ones_gives_no_warning(shape, caplog):
    """A giant cell with debris far from it, and a curved worm around bacteria."""
    mask = np.zeros((64, 64), np.uint16)
    mask[shape] = 1
    for number, place in enumerate([(4, 4), (4, 60), (60, 4), (32, 32)]):
        if not shape[place]:
            mask[disc(*place, 2)] = number + 2
    assert warnings_of(moving(mask), caplog) == []


def many_cells(n_rows):
    """Return the mask (64 n_rows, 512) of 64 cells for each row, each with its own number."""
    tiles = np.block([[cells()[:, :40]] * 12] * n_rows)
    labels, _ = ndimage.label(tiles > 0)
    return labels.astype(np.uint16)


@pytest.mark.parametrize("stored", [lambda m: m.astype(np.uint8), lambda m: m.clip(0, 255)])
def test_more_cells_than_8_bits_can_number_give_a_warning(stored, caplog):
    mask = many_cells(4)
    assert 260 < mask.max() < 300
    (sentence,) = warnings_of(stored(moving(mask)).astype(np.uint8), caplog)
    assert sentence.startswith("objects of frame 0 share numbers, which end at 255: 8 bits")


def test_masks_with_255_cells_in_8_bits_give_no_warning(caplog):
    mask = many_cells(4)
    mask[mask > 255] = 0
    assert warnings_of(moving(mask).astype(np.uint8), caplog) == []


BINARY = np.stack([cells() > 0] * 4).astype(np.uint8)


def test_the_command_warns_and_warns_again_with_a_cache(tmp_path):
    masks = write_folder(tmp_path / "masks", BINARY)
    command = ("track", "--masks", masks, "-o", tmp_path / "out", "--no-report", "--overwrite")
    for _ in range(2):
        result = run(*command)
        assert result.exit_code == 0, result.output
        (told,) = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
        assert told == (
            f"Warning: label 1 of frame 0 in {masks} has 9 separate pieces, as in a binary mask, "
            "and is tracked as one object; give each piece its own number first, for example with "
            "scipy.ndimage.label"
        )


def test_the_command_reports_odd_frames_and_does_so_again_with_a_cache(tmp_path):
    frames = moving(cells(), 6)
    frames[2], frames[4] = frames[1], 0
    masks = write_folder(tmp_path / "masks", frames)
    command = ("track", "--masks", masks, "-o", tmp_path / "out", "--no-report", "--overwrite")
    for _ in range(2):
        result = run(*command, "--device", "cpu")
        assert result.exit_code == 0, result.output
        warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
        assert f"Warning: {masks} has no object in frame 4; check the segmentation" in warnings
        assert any("objects as in the frame before in frame 2; check" in one for one in warnings)


def test_python_and_a_session_warn_once_a_movie(caplog):
    tracker = Tracker(RandomModel(), linker("greedy"))
    tracker.track(None, BINARY)
    (record,) = caplog.records
    assert "label 1 of frame 0 in the array of the masks has 9" in record.getMessage()
    caplog.clear()
    session = Session(tracker, like=(None, BINARY[0]))
    assert caplog.text == ""  # not a field of view
    for number, mask in enumerate(BINARY, start=7):
        session.push(None, mask, fov="left", frame=number)
        session.push(None, np.roll(cells(), number, axis=1), fov="middle", frame=number)
        session.push(None, mask, fov="right", frame=number)
    left, right = [record.getMessage() for record in caplog.records]
    assert "label 1 of frame 7 of field of view 'left' has 9" in left
    assert "label 1 of frame 7 of field of view 'right' has 9" in right


def test_points_are_not_checked(caplog):
    session = Session(Tracker(RandomModel(), linker("greedy")))
    for _ in range(3):
        session.push_points([[10.0, 10.0], [50.0, 50.0]], diameter=[60.0, 60.0])
    assert caplog.text == ""
