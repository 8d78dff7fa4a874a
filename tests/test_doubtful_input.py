"""Input that is accepted but is hardly right gives one warning, and other input gives none."""

import numpy as np
import pytest
import tifffile

from command_line import run
from opened_movies import IMAGES, MASKS, error_of
from small_movies import write_folder

GRID = np.stack(np.meshgrid(np.arange(6), np.arange(6)), axis=-1).reshape(-1, 2) * 20.0 + 10


@pytest.fixture
def grid():
    """Return lines of points, frame,y,x: 36 cells that move by 2 pixels a frame."""
    rng = np.random.default_rng(0)
    start = GRID + rng.normal(size=GRID.shape)
    return [(frame, *place) for frame in range(5) for place in start + 2 * frame]


def warnings_of(tmp_path, header, lines, *options):
    path = tmp_path / "points.csv"
    path.write_text("\n".join([header, *(",".join(map(str, line)) for line in lines)]))
    arguments = ("track", "--points", path, "-o", tmp_path / "out", "--format", "csv")
    result = run(*arguments, "--no-report", "--device", "cpu", "--overwrite", *options)
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    return [line.removeprefix("Warning: ") for line in lines if line.startswith("Warning: ")]


def test_points_of_separate_cells_give_no_warning(grid, tmp_path):
    assert warnings_of(tmp_path, "frame,y,x", grid) == []
    wide = [(*line, 16) for line in grid]
    assert warnings_of(tmp_path, "frame,y,x,diameter", wide, "--max-distance", "20") == []
    one = [(*line, "A01") for line in grid]
    assert warnings_of(tmp_path, "frame,y,x,well", one, "--voxel", "0.3,0.3") == []


@pytest.mark.parametrize("options", [(), ("--voxel", "5,0.3,0.3")])
def test_points_of_a_thick_stack_give_no_warning(options, tmp_path):
    """Of cells 10 um apart, in steps of 5 um."""
    rng = np.random.default_rng(1)
    start = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) * 10.0
    start = (start + rng.normal(size=start.shape)) / [5, 0.3, 0.3] + 1
    step = np.array([0, 1, 1])
    lines = [(frame, *place, 12) for frame in range(4) for place in start + frame * step]
    warnings = warnings_of(tmp_path, "frame,z,y,x,diameter", lines, *options)
    assert all("the size of the movie's voxels is not known" in warning for warning in warnings)


def test_positions_in_another_unit_than_diameters(grid, tmp_path):
    small = [(frame, y * 0.1, x * 0.1, 16) for frame, y, x in grid]
    (warning,) = warnings_of(tmp_path, "frame,y,x,diameter", small)
    assert "pixels apart, but their diameters are 16; check that positions and" in warning


def test_each_object_twice(grid, tmp_path):
    again = [(frame, y + 0.3, x - 0.2) for frame, y, x in grid]
    warnings = warnings_of(tmp_path, "frame,y,x", grid + again)
    assert "most points of" in warnings[0]
    assert "have another one close by, 0.36 pixels away; check that each object" in warnings[0]


def test_several_movies_in_one_table(grid, tmp_path):
    two = [(*line, row % 2) for row, line in enumerate(grid)]
    (warning,) = warnings_of(tmp_path, "frame,y,x,fov", two)
    assert "has 2 values of fov, but is tracked as one movie; give one table" in warning


def test_a_column_with_a_value_for_each_point_names_no_movies(grid, tmp_path):
    numbered = [(*line, row) for row, line in enumerate(grid)]
    assert warnings_of(tmp_path, "frame,y,x,position", numbered) == []


def test_a_limit_that_leaves_out_likely_links(grid, tmp_path):
    """As micrometres with a pixel size in nanometres."""
    for options in (("--max-distance", "2"), ("--max-distance", "9um", "--voxel", "325,325")):
        warnings = warnings_of(tmp_path, "frame,y,x", grid, *options)
        (warning,) = [one for one in warnings if "likely links" in one]
        assert "144 of 144 likely links are longer than the maximum distance, " in warning
        assert "pixels, and are left out; check its unit and the pixel size" in warning


def test_a_deliberate_limit_gives_no_warning(grid, tmp_path):
    few = [line for line in grid if line[1] < 30 and line[2] < 30]
    assert warnings_of(tmp_path, "frame,y,x", few, "--max-distance", "2") == []


@pytest.mark.parametrize("voxel", ["325,325", "3.25e-07,3.25e-07"])
def test_objects_that_are_no_cells_by_the_size_of_a_pixel(voxel, grid, tmp_path):
    (warning,) = warnings_of(tmp_path, "frame,y,x", grid, "--voxel", voxel)
    assert f"as a pixel is {voxel.split(',')[0]} um; check the size of a pixel" in warning


def test_masks_that_are_given_as_images(tmp_path):
    folder = write_folder(tmp_path / "masks", MASKS)
    stack = tmp_path / "masks.tif"
    tifffile.imwrite(stack, MASKS, photometric="minisblack")
    for masks in (folder, stack):
        assert "is given as images and as masks; give the path of the" in error_of(masks, masks)


def test_channels_of_one_file_are_images_and_masks(tmp_path):
    path = tmp_path / "both.ome.tif"
    tifffile.imwrite(path, np.stack([IMAGES, MASKS], axis=1), metadata={"axes": "TCYX"})
    images, masks = tmp_path / "out", ("--channel", "0", "--mask-channel", "1")
    result = run("track", path, path, *masks, "-o", images, "--no-report", "--device", "cpu")
    assert result.exit_code == 0, result.output
