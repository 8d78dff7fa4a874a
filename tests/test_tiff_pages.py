"""Stacks whose pages differ: each is decoded by its own tags, and none is left out in silence."""

import numpy as np
import pytest
import tifffile

from small_movies import dividing_cell
from trackastra_engine.errors import InputError
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection


def labels_of(movie):
    return np.stack([frame.labels for frame in movie])


@pytest.fixture
def masks():
    return dividing_cell()[1]


def written_page_by_page(path, masks, **options):
    """Write a stack; options: of each page, by their names, lists with one value per page."""
    with tifffile.TiffWriter(path) as writer:
        for index, mask in enumerate(masks):
            own = {name: values[index] for name, values in options.items()}
            writer.write(mask, metadata=None, contiguous=False, **own)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"compression": ["zlib" if index == 4 else None for index in range(9)]},
        {"compression": [None if index == 4 else "zlib" for index in range(9)]},
        {"compression": ["lzw"] * 9, "predictor": [index == 4 for index in range(9)]},
    ],
    ids=["compressed", "not compressed", "predictor"],
)
def test_each_page_is_decoded_by_its_own_tags(tmp_path, options):
    masks = dividing_cell(9)[1]
    path = written_page_by_page(tmp_path / "masks.tif", masks, **options)
    np.testing.assert_array_equal(labels_of(open_movie(None, path)), masks)


@pytest.mark.parametrize(
    ("page", "what"),
    [
        (np.ones((40, 48), np.uint8), r"uint8 \(40, 48\)"),
        (np.ones((40, 48), np.int16), r"int16 \(40, 48\)"),
        (np.ones((30, 48), np.uint16), r"uint16 \(30, 48\)"),
    ],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_page_of_another_type_or_size_is_named(tmp_path, page, what, compression):
    images, masks = dividing_cell(9)
    images = [*images]
    images[4] = page
    path = written_page_by_page(tmp_path / "images.tif", images, compression=[compression] * 9)
    with pytest.raises(InputError, match=rf"page 4 of .*s.tif is {what} but others are uint16"):
        list(open_movie(path, masks))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("in_16_bits", [range(1, 2), range(2), range(6, 12), range(1, 12, 2)])
@pytest.mark.parametrize("metadata", [None, {}])
def test_pages_of_labels_may_have_several_integer_types(
    tmp_path, compression, in_16_bits, metadata
):
    masks = dividing_cell(12)[1].astype(np.uint16)
    masks[in_16_bits] += 300
    with tifffile.TiffWriter(tmp_path / "masks.tif") as writer:
        for index, mask in enumerate(masks):
            page = mask if index in in_16_bits else mask.astype(np.uint8)
            writer.write(page, metadata=metadata, contiguous=False, compression=compression)
    np.testing.assert_array_equal(labels_of(open_movie(None, tmp_path / "masks.tif")), masks)


def test_planes_of_a_volume_of_labels_may_have_several_integer_types(tmp_path):
    planes = dividing_cell(12)[1].astype(np.uint16)
    planes[1::2] += 300
    ome = tifffile.OmeXml()
    ome.addimage("uint8", (4, 3, 40, 48), (12, 1, 1, 40, 48, 1), axes="TZYX")
    with tifffile.TiffWriter(tmp_path / "masks.ome.tif") as writer:
        for index, plane in enumerate(planes):
            page = plane if index % 2 else plane.astype(np.uint8)
            described = {"description": ome.tostring()} if index == 0 else {}
            writer.write(page, metadata=None, contiguous=False, **described)
    movie = open_movie(None, tmp_path / "masks.ome.tif")
    np.testing.assert_array_equal(labels_of(movie), planes.reshape(4, 3, 40, 48))


def test_series_of_one_plane_are_a_stack(tmp_path, masks):
    for mask in masks:
        tifffile.imwrite(tmp_path / "masks.tif", mask[None], append=True)
    np.testing.assert_array_equal(labels_of(open_movie(None, tmp_path / "masks.tif")), masks)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": ["zlib"] * 8 + [None] * 4},
        {"compression": ["zlib", None] * 6},
        {"rowsperstrip": [16 if index == 5 else 40 for index in range(12)]},
    ],
    ids=["halves", "alternating", "strips"],
)
def test_pages_of_several_compressions_are_a_stack_without_its_thumbnail(tmp_path, options):
    masks = dividing_cell(12)[1]
    pages = [*masks, masks[0, ::3, ::3]]
    options = {name: [*values, values[0]] for name, values in options.items()}
    path = written_page_by_page(tmp_path / "masks.tif", pages, **options)
    np.testing.assert_array_equal(labels_of(open_movie(None, path)), masks)


def in_two_types(path, masks):
    written_page_by_page(path, [*masks[:3].astype(np.float32), *masks[3:]])


def in_two_parts(path, masks):
    tifffile.imwrite(path, masks[:3], photometric="minisblack")
    tifffile.imwrite(path, masks[3:], photometric="minisblack", append=True)


def in_two_sizes(path, masks):
    written_page_by_page(path, [*masks[:3], *masks[3:, :30]])


@pytest.mark.parametrize(
    ("write", "first", "last"),
    [
        (in_two_types, r"float32 \(40, 48\)", r"uint16 \(40, 48\)"),
        (in_two_parts, r"uint16 \(40, 48\)", r"uint16 \(40, 48\)"),
        (in_two_sizes, r"uint16 \(40, 48\)", r"uint16 \(30, 48\)"),
    ],
)
def test_series_that_may_be_parts_of_a_movie_are_not_left_out(tmp_path, masks, write, first, last):
    path = tmp_path / "masks" / "0.tif"
    path.parent.mkdir()
    write(path, masks)
    write(path.with_name("1.tif"), masks)
    sentence = (
        rf"0.tif contains 2 series, the first with 3 pages of {first} and the last with 3 pages of "
        rf"{last}; save all pages as one series of one size and type"
    )
    for place, advice in ((path, ", or choose one with position, such as 0"), (path.parent, "")):
        with pytest.raises(InputError, match=sentence + advice + "$"):
            open_movie(None, place)
    assert len(open_movie(None, path, selection=Selection(position="0"))) == 3
