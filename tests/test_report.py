"""The report page: its contents, and that it is small and harmless."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

from report_pages import DOUBTFUL, HOSTILE, tracks_of_points, written
from small_movies import dividing_cell, true_lineage
from trackastra_engine.linking.review import DoubtfulLink
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.report import RunFacts, write_report
from trackastra_engine.output.report.outlines import STEPS, outlines, pack_steps
from trackastra_engine.output.report.shades import shades
from trackastra_engine.output.report.tree import lineage_tree


def contents(page):
    """Return the data and the arrays of a page, read as its scripts read them."""
    data, packed = (
        re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page, re.DOTALL).group(1)
        for name in ("report", "arrays")
    )
    data, block = json.loads(data), zlib.decompress(base64.b64decode(packed))
    arrays = {
        name: np.frombuffer(block[first:end], kind.lower())
        for name, (kind, first, end) in data["arrays"].items()
    }
    return data, arrays


def test_a_page_contains_the_movie_and_the_lineage(tmp_path):
    """Cell 1 in all frames; 2 in frames 0 to 2, then its daughters 3 and 4."""
    images, masks = dividing_cell()
    page = written(tmp_path, true_lineage(masks), open_movie(images, masks), [DOUBTFUL])
    data, arrays = contents(page)
    assert data["summary"] == [
        ["6", "frames"],
        ["15", "objects"],
        ["4", "tracks"],
        ["1", "divisions"],
    ]
    assert data["frames"] == [0, 1, 2, 3, 4, 5]
    assert data["notes"] == []
    assert all(base64.b64decode(image).startswith(b"\xff\xd8") for image in data["images"])
    assert len(data["images"]) == 6
    assert arrays["track_id"].tolist() == [2, 3, 4, 1]  # the lineage with most tracks is first
    assert arrays["track_parent"].tolist() == [-1, 0, 0, -1]
    assert arrays["track_lane"].tolist() == [0.5, 0, 1, 2]
    assert arrays["object_start"].tolist() == [0, 2, 4, 6, 9, 12, 15]
    assert arrays["object_track"].tolist() == [3, 0] * 3 + [3, 1, 2] * 3
    # Cell 1 in frame 0: pixels 4 to 9 along both, whose middle is 7; in units of 1/16.
    assert (arrays["object_x"][0], arrays["object_y"][0]) == (7 * 16, 7 * 16)
    link = data["links"][0]
    assert (link["target"]["track"], link["source"]["track"]) == (2, 0)
    assert [other["score"] for other in link["alternatives"]] == [0.49, 0.0]
    count, divisions, lengths, scores = data["charts"]
    assert count["values"] == [2, 2, 2, 3, 3, 3]
    assert divisions["values"] == [0, 0, 1, 0, 0, 0]
    assert lengths["values"] == [0, 0, 3, 0, 0, 1]
    assert sum(scores["values"]) == 13


def test_a_page_needs_no_other_file_and_no_network(tmp_path):
    images, masks = dividing_cell()
    page = written(tmp_path, true_lineage(masks), open_movie(images, masks))
    assert "default-src 'none'; img-src data:" in page
    addresses = set(re.findall(r"[a-z]+://[^\"'`\s]*", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, from which nothing is loaded
    assert not re.search(r"<link|<script[^>]*src|<img|@import|url\(", page)


def test_text_of_files_is_never_markup(tmp_path):
    images, masks = dividing_cell()
    facts = RunFacts(HOSTILE, (("masks", HOSTILE),))
    page = written(tmp_path, true_lineage(masks), open_movie(images, masks), facts=facts)
    assert "<img" not in page
    assert page.count("</script>") == 3
    assert contents(page)[0]["settings"][0] == ["masks", HOSTILE]
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;/$title &#x27;movie&#x27;" in page


def test_a_name_that_is_not_text_does_not_prevent_the_page(tmp_path):
    """As on Linux: bytes, which Python stores as lone surrogates."""
    masks = dividing_cell()[1]
    name = b"ce\xff.tif".decode("utf-8", "surrogateescape")
    page = written(tmp_path, true_lineage(masks), open_movie(None, masks), facts=RunFacts(name))
    assert "<h1>ce?.tif</h1>" in page


def filled(ways, shape):
    """Return (Y, X) the objects inside of outlines: a slow twin, which crosses sides of pixels."""
    image = np.zeros(shape, int)
    steps = iter(ways.steps.tolist())
    for owner, (x, y), length in zip(ways.owner, ways.corner, ways.length, strict=True):
        start = x, y
        for _ in range(length):
            way = next(steps)
            if way == 1:  # down along the right side of an object
                image[y, x:] -= owner
            if way == 3:  # up along its left side
                image[y - 1, x:] += owner
            x, y = x + STEPS[way][0], y + STEPS[way][1]
        assert (x, y) == start
    return image


def test_outlines_restore_the_objects():
    """Random blocks have holes, pieces that touch at corners, and pixels at the border."""
    generator = np.random.default_rng(5)
    for density in (0.2, 0.5, 0.9):
        objects = generator.integers(1, 4, (17, 23)) * (generator.random((17, 23)) < density)
        ways = outlines(objects.astype(np.uint32))
        np.testing.assert_array_equal(filled(ways, objects.shape), objects)


def test_steps_are_packed_four_to_a_byte():
    steps = np.array([0, 1, 2, 3, 3], np.uint8)
    assert pack_steps(steps).tolist() == [0b11100100, 0b11]


def shades_twin(pixels, shape, levels):
    """Slow twin: one block after another, in double precision."""
    rows, columns = (
        np.arange(n + 1) * size // n for n, size in zip(shape, pixels.shape, strict=True)
    )
    shown = np.zeros(shape)
    for i, j in np.ndindex(*shape):
        block = pixels[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        shown[i, j] = 255 * (block.mean(dtype=float) - levels[0]) / (levels[1] - levels[0])
    return np.nan_to_num(shown).clip(0, 255)


@pytest.mark.parametrize("shape", [(17, 23), (16, 11), (5, 23), (1, 1)])
@pytest.mark.parametrize("kind", ["u1", ">u2", "i2", "f2", ">f4", "f8", "bool"])
def test_shades_are_means_of_blocks(kind, shape):
    pixels = np.random.default_rng(3).normal(60, 40, (17, 23)).clip(0).astype(kind)
    levels = (0.0, 1.0) if kind == "bool" else (20.0, 90.0)
    expected = shades_twin(pixels, shape, levels)
    for same in (pixels, np.asfortranarray(pixels)):
        found = shades(same, shape, levels)
        assert (np.abs(found - expected) < 1.001).all()  # rounded down
        assert found.max() > found.min() or shape == (1, 1)


def test_shades_of_pixels_that_are_not_finite_are_black_or_white():
    pixels = np.array([[np.nan, -np.inf, np.inf, 5.0, 0.0, 10.0]] * 2)
    assert shades(pixels, (2, 6), (0.0, 10.0)).tolist() == [[0, 0, 255, 127, 0, 255]] * 2
    assert shades(pixels, (1, 2), (0.0, 10.0)).tolist() == [[0, 127]]
    assert shades(np.full((4, 4), 7), (2, 2), (7.0, 7.0)).tolist() == [[0, 0]] * 2  # one intensity


def test_an_empty_frame_has_no_outline():
    assert len(outlines(np.zeros((4, 5), np.uint32)).owner) == 0


def test_points_are_dots_in_the_box_of_them_all(tmp_path):
    data, arrays = contents(written(tmp_path, tracks_of_points(3, 5), None))
    assert data["images"] == []
    assert "way_start" not in arrays
    assert data["notes"] == ["Points are shown as dots; there are no images."]
    width, height = data["size"]
    assert arrays["object_x"].max() < width * 16
    assert arrays["object_y"].max() < height * 16


def test_sizes_and_times_are_shown_where_they_are_known(tmp_path):
    """Without frames, too: of points, and of a movie that is linked again."""
    path, known = tmp_path / "report.html", Calibration((2.0, 0.5, 0.25), 90.0)
    images, masks = dividing_cell()
    for lineage, movie in (
        (tracks_of_points(3, 5), None),
        (true_lineage(masks), open_movie(images, masks)),
    ):
        write_report(lineage, movie, (), RunFacts("cells"), path, calibration=known)
        data, arrays = contents(path.read_text("utf-8"))
        told = dict(data["settings"])
        assert (told["voxel"], told["frame interval"]) == ("0.25 x 0.5 x 2 \u00b5m", "90 s")
        assert ("frame" in told) == (movie is not None)
        assert data["interval_s"] == 90
        x = lineage.detections.centroid[:3, -1]
        shown_um = arrays["object_x"][:3] / 16 * data["um_per_pixel"]
        rounding_um = data["um_per_pixel"] / 16  # of each place
        assert np.ptp(shown_um) == pytest.approx(0.25 * np.ptp(x), abs=rounding_um)
    data, _ = contents(written(tmp_path, *(true_lineage(masks), open_movie(images, masks))))
    assert (data["um_per_pixel"], data["interval_s"]) == (None, None)


def test_volumes_are_seen_along_z(tmp_path):
    images, masks = (np.repeat(array[:, None], 3, axis=1) for array in dividing_cell())
    data, _ = contents(written(tmp_path, true_lineage(masks), open_movie(images, masks)))
    assert data["size"] == [48, 40]
    assert data["notes"] == ["Volumes are shown as their maximum along z."]


def test_long_movies_are_thinned_with_a_note(tmp_path):
    page = written(tmp_path, tracks_of_points(20, 1000), None)
    data, arrays = contents(page)
    assert data["frames"] == list(range(0, 1000, 7))
    assert "The movie shows 143 of 1,000 frames, one in 7." in data["notes"]
    assert len(arrays["object_x"]) == 143 * 20
    assert sum(data["charts"][0]["values"]) == 20 * 250  # bins of four frames, means of each


def test_large_frames_are_shown_smaller_with_a_note(tmp_path):
    images, masks = (np.kron(array, np.ones((1, 40, 40), array.dtype)) for array in dividing_cell())
    data, arrays = contents(written(tmp_path, true_lineage(masks), open_movie(images, masks)))
    assert data["size"] == [1024, 853]
    assert data["notes"] == ["Frames of 1,920 x 1,600 pixels are shown at 1,024 x 853."]
    scale = 1024 / 1920
    assert arrays["object_x"][0] == pytest.approx(7 * 40 * scale * 16, abs=1)
    assert arrays["way_x"][0] == pytest.approx(4 * 40 * scale, abs=1)


def test_noise_and_many_objects_stay_a_few_megabytes(tmp_path):
    """Noise is the worst case of compression: 100 frames of 500 x 500 pixels of it."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 2**16, (500, 500), np.uint16)
    masks = np.arange(1, 2501).reshape(50, 50).repeat(10, axis=0).repeat(10, axis=1)
    masks = np.broadcast_to(masks.astype(np.uint16), (100, 500, 500))
    images = np.broadcast_to(noise, masks.shape)
    lineage = tracks_of_points(2500, 100)
    page = written(tmp_path, lineage, open_movie(images, masks))
    assert len(page) < 10e6
    assert len(contents(page)[0]["frames"]) == 34


def test_of_very_many_tracks_the_largest_lineages_are_shown(monkeypatch):
    masks = dividing_cell()[1]
    monkeypatch.setattr("trackastra_engine.output.report.tree.MAX_TRACKS", 3)
    tree = lineage_tree(true_lineage(masks))
    assert tree.tracklets[:, 0].tolist() == [2, 3, 4]
    assert tree.row_of_id[1] == 3
    assert "The tree shows 3 of 4 tracks" in tree.notes[0]


def test_links_of_dropped_tracks_are_left_out(tmp_path):
    lineage = true_lineage(dividing_cell()[1])
    gone = DoubtfulLink((3, 9), None, 0.5, 0.0, ((None, 0.5),))
    data, _ = contents(written(tmp_path, lineage, None, [gone, DOUBTFUL]))
    assert [link["target"]["label"] for link in data["links"]] == [4]
