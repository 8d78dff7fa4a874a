"""Files of microscopes: CZI, and a stand-in reader of bioio for all others."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from small_movies import dividing_cell
from trackastra_engine.errors import InputError, MissingDependencyError
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection

IMAGES, MASKS = dividing_cell()
READER = '''
from datetime import timedelta

import bioio_base
import dask.array
import numpy
import xarray
from bioio_base.reader_metadata import ReaderMetadata as Base


class Reader(bioio_base.reader.Reader):
    """Reads numpy's arrays (scene, t, c, z, y, x) as files of an instrument."""

    @staticmethod
    def _is_supported_image(fs, path, **_):
        return True

    def __init__(self, image, **_):
        self._fs, self._path = bioio_base.io.pathlike_to_fs(image)

    @property
    def scenes(self):
        return ("well A", "well B")

    def _read_delayed(self):
        stored = numpy.load(self._path, mmap_mode="r")[self.current_scene_index]
        taken = dask.array.from_array(Asked(stored), chunks=(1, 1, *stored.shape[2:]))
        names = {"C": ["DAPI", "GFP"]}
        return xarray.DataArray(taken, dims=list("TCZYX"), coords=names)

    def _read_immediate(self):
        raise AssertionError("the whole file is never read")

    @property
    def physical_pixel_sizes(self):
        return bioio_base.types.PhysicalPixelSizes(2.0, 0.5, 0.25)

    @property
    def time_interval(self):
        return timedelta(minutes=2)


class Asked:
    """An array that notes what is taken of it."""

    asked = []

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        taken = self.array[index]
        if taken.size:  # dask tries its slices on nothing
            places = (part if isinstance(part, int) else part.start for part in index[:2])
            Asked.asked.append(tuple(places))
        return taken


class ReaderMetadata(Base):
    @staticmethod
    def get_supported_extensions():
        return [".standin"]

    @staticmethod
    def get_reader():
        return Reader
'''


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """Return a file of two scenes, whose reader is installed like readers of bioio."""
    pytest.importorskip("bioio")
    from bioio import plugins

    site = tmp_path / "site"
    (site / "standin-1.dist-info").mkdir(parents=True)
    (site / "standin_reader.py").write_text(READER)
    (site / "standin-1.dist-info" / "METADATA").write_text(
        "Name: standin\nVersion: 1\nRequires-Dist: bioio-base>=3\n"
    )
    entry = "[bioio.readers]\nstandin = standin_reader\n"
    (site / "standin-1.dist-info" / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(site))
    plugins.get_plugins(use_cache=False)
    first, second = np.zeros((2, len(MASKS), 2, 1, *MASKS.shape[1:]), np.uint16)
    second[:, 1, 0] = MASKS
    np.save(tmp_path / "a.npy", np.stack([first, second]))
    yield (tmp_path / "a.npy").rename(tmp_path / "a.standin")
    sys.modules.pop("standin_reader")


def test_a_scene_and_a_channel_are_read_frame_by_frame(standin):
    asked = sys.modules["standin_reader"].Asked.asked
    selection = Selection(channel="GFP", position="well B")
    movie = open_movie(None, standin, selection=selection)
    assert asked == []
    assert (movie.voxel_um, movie.frame_interval_s) == ((0.5, 0.25), 120)
    frames = iter(movie)
    np.testing.assert_array_equal(next(frames).labels, MASKS[0])
    assert asked == [(0, 1)]
    np.testing.assert_array_equal([frame.labels for frame in frames], MASKS[1:])
    assert len({movie.masks.stamp(index) for index in range(len(movie))}) == len(MASKS)


def test_the_contents_of_a_file_are_listed_where_a_choice_is_missing(standin):
    with pytest.raises(InputError, match=r"contains 2 images \(well A, well B\); choose one with"):
        open_movie(None, standin)
    with pytest.raises(InputError, match=r"2 channels \(DAPI, GFP\); choose one with channel"):
        open_movie(None, standin, selection=Selection(position="1"))
    with pytest.raises(InputError, match="no position well C; choose one of well A, well B"):
        open_movie(None, standin, selection=Selection(position="well C"))
    with pytest.raises(InputError, match="no level 3"):
        open_movie(None, standin, selection=Selection(position="0", level=3, channel="0"))


def test_another_process_opens_the_file_again(standin):
    import pickle

    movie = open_movie(None, standin, selection=Selection(channel="1", position="1"))
    again = pickle.loads(pickle.dumps(movie))
    np.testing.assert_array_equal(next(again.frames([4])).labels, MASKS[4])


@pytest.fixture
def czi(tmp_path):
    """Return a CZI of images and masks as two channels."""
    pytest.importorskip("bioio_czi")
    written = pytest.importorskip("pylibCZIrw.czi")
    path = tmp_path / "movie.czi"
    with written.create_czi(str(path)) as document:
        for frame, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True)):
            for channel, plane in enumerate((image, mask)):
                document.write(data=plane, plane={"T": frame, "Z": 0, "C": channel})
        sizes = {"scale_x": 0.25e-6, "scale_y": 0.5e-6}
        document.write_metadata("movie", channel_names={0: "GFP", 1: "cells"}, **sizes)
    return path


def test_a_czi_of_zeiss(czi):
    movie = open_movie(czi, czi, selection=Selection(channel="GFP", mask_channel="cells"))
    assert movie.voxel_um == pytest.approx((0.5, 0.25))
    for frame, image, mask in zip(movie, IMAGES, MASKS, strict=True):
        np.testing.assert_array_equal(frame.image, image)
        np.testing.assert_array_equal(frame.labels, mask)


def test_a_truncated_czi_is_rejected(czi):
    czi.write_bytes(czi.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"no reader .* takes .*movie\.czi: it is damaged, or"):
        open_movie(None, czi)


def test_tiffs_of_any_name_are_read_without_bioio(tmp_path, monkeypatch):
    monkeypatch.setattr("trackastra_engine.movie.microscope_files.find_spec", lambda _: True)
    tifffile.imwrite(tmp_path / "a.lsm", MASKS, photometric="minisblack")
    movie = open_movie(None, tmp_path / "a.lsm")
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)


@pytest.mark.parametrize("name", ["a.czi", "a.nd2", "a.LIF"])
def test_without_the_package_one_sentence_names_the_extra(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "bioio", None)
    (tmp_path / name).write_bytes(b"ZISRAWFILE")
    with pytest.raises(MissingDependencyError, match=r"install trackastra-engine\[formats\]"):
        open_movie(None, Path(tmp_path / name))
