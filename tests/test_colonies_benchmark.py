"""The benchmark of colonies, tissue and crawling cells: tables of others become movies."""

import json
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner

from benchmarks import (
    cellmap,
    colonies,
    follicles,
    microcolonies,
    myoblasts,
    record,
    wandering,
    yeast,
)
from benchmarks.__main__ import main
from benchmarks.real_movies import ALL_FRAMES, read_tables
from benchmarks.true_movies import read_movie

CONFIGURATIONS = Path(__file__).parent.parent / "training" / "configs"
DAUGHTERS = {16: 3, 17: 3}  # cells of the second half, and the cell that divided


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def colony() -> str:
    """Return a table of 16 cells at rest in 10 frames, from the last; number 3 divides after 8."""
    lines, row_of = [], {}
    for frame in range(10, 0, -1):
        cells = [c for c in range(16) if c != 3 or frame <= 8] + [16, 17] * (frame > 8)
        for cell in cells:
            row_of[cell, frame] = len(lines) + 1
            lines.append([314, 900, 30 * (cell % 8) + 7 * (cell > 15), 30 * (cell // 8), frame])
    table = []
    for (cell, frame), line in zip(row_of, lines, strict=True):
        before = row_of.get((cell, frame - 1), 0) or row_of.get((DAUGHTERS.get(cell), frame - 1), 0)
        table.append(",".join(map(str, [*line, 1, before, 150])))
    return "\n".join(table) + "\n"


def tissue() -> str:
    """Return the interfaces of a lattice of 4 x 4 cells in 17 frames; cell 6 is away in one."""
    rows = ["endpoint_1_coords,endpoint_2_coords,cell_s_lab,cell_r_lab,t_step"]
    for step in range(17):
        for cell in range(16):
            y, x = 20 * (cell // 4) + step, 20 * (cell % 4)
            right, below, corner = (y, x + 20), (y + 20, x), (float(y + 20), x + 20)
            for other, end in ((cell + 1, right), (cell + 4, below)):
                is_there = other < 16 and (end == below or cell % 4 < 3)
                if is_there and not (step == 4 and 5 in (cell, other)):
                    rows.append(f'"{end}","{corner}",{cell + 1}.0,{other + 1}.0,{step}')
    return "\n".join(rows) + '\n"(1.0, 2.0)",,3.0,4.0,0\n'


def dish() -> tuple[str, str]:
    """Return 780 frames, from 1, of 3 cells in lines; cell 4 divides after frame 24 of both parts.

    And the table of tracks, whose frames count from 0.
    """
    rows, tracks = [",frame,x,y,state,interpolation,track"], []
    for part, begin in enumerate((0, 390)):
        first = 10 * part
        spans = {3: (0, 390, 0), 4: (0, 25, 0), 5: (25, 390, 4), 6: (25, 390, 4), 7: (0, 390, 0)}
        for cell, (start, end, mother) in spans.items():
            tracks.append([first + cell, begin + start, begin + end - 1, mother and first + mother])
            rows += [
                f"0,{begin + frame + 1},{50 * cell}.0,{frame}.0,4,I,{first + cell}"
                for frame in range(start, end)
            ]
    rows.append(rows[-1].rsplit(",", 1)[0] + ",99")  # at the same place
    return "\n".join(rows) + "\n", "\n".join(" ".join(map(str, one)) for one in tracks) + "\n"


def followed() -> SimpleNamespace:
    """Return a table of 21 cells in 49 images, in two rows.

    C4 of the first row divides after 18 images, and C5 is there in 31 of them.
    """
    n_images = {f"C{cell}": (0, 49) for cell in range(1, 22)}
    n_images |= {"C4": (0, 18), "C4.1": (18, 49), "C4.2": (18, 49)}
    rows = [
        (name, image + 1, 10 * int(name[1:].split(".")[0]), 7 * name.endswith(".2"))
        for name, (begin, end) in n_images.items()
        for image in range(begin, end)
    ]
    name, image, x, y = map(np.array, zip(*rows, strict=True))
    place = np.column_stack([x, np.where(x > 100, 100, y)]).astype(float)
    place[(name == "C5") & (image > 31)] = np.nan
    data = np.empty((1, 4), object)
    data[0] = [np.ones((len(rows), 1)), name[:, None], image[:, None].astype(float), place]
    return SimpleNamespace(properties={"data": data})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("colonies")
    for experiments in microcolonies.PARTS.values():
        for experiment in experiments:
            folder = root / "clone" / microcolonies.TABLES / experiment / "YFP"
            folder.mkdir(parents=True)
            for number in range(max(n for one in microcolonies.N_FIELDS.values() for n in one)):
                (folder / f"Results{number:04d}.csv").write_text(colony())
    folder = root / "clone" / follicles.TABLES
    folder.mkdir(parents=True)
    for names in follicles.PARTS.values():
        for name in names:
            (folder / f"{name}_data_hjs.csv").write_text(tissue())
    folder = root / "clone" / myoblasts.FOLDER
    (folder / myoblasts.TRACKS).parent.mkdir(parents=True)
    for name, text in zip((myoblasts.CELLS, myoblasts.TRACKS), dish(), strict=True):
        (folder / name).write_text(text)
    for _, file in cellmap.PARTS.values():
        path = root / "clone" / cellmap.TABLES / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    tracks = {"AllTracks": np.array([[{"Tracks": followed()}]])}
    with pytest.MonkeyPatch.context() as patch:
        reader = SimpleNamespace(load_from_mat=lambda path, raw_data: tracks)
        patch.setitem(sys.modules, "matio", reader)
        for made in ("microcolonies", "follicles", "cellmap", "myoblasts"):
            result = run(made, root / "clone", root / "data")
            assert result.exit_code == 0, result.output
    return root / "data"


def test_rows_of_a_colony_become_points_and_edges(data):
    folder = data / "microcolonies" / "choosing" / "glu30_0319_0003"
    points = pd.read_csv(folder / "points.csv")
    assert points["frame"].value_counts().to_dict() == {**dict.fromkeys(range(4), 16), 4: 17}
    np.testing.assert_allclose(points["diameter"], 20, atol=0.01)
    movie = read_tables(folder, *ALL_FRAMES)
    place, frame = movie.detections.centroid, movie.detections.frame
    moved = np.abs(place[movie.links[:, 0]] - place[movie.links[:, 1]]).max(axis=1)
    assert len(movie.links) == 3 * 16 + 17
    assert sorted(moved[moved > 0]) == [60, 83]  # both daughters
    mother = np.flatnonzero(np.bincount(movie.links[:, 0]) == 2)
    assert [(frame[row], *place[row]) for row in mother] == [(3, 0, 90)]


def test_interfaces_of_a_tissue_become_masks_with_tracks(data):
    folder = data / "follicles" / "choosing" / "w1118_02" / "TRA"
    masks = [tifffile.imread(path) for path in sorted(folder.glob("man_track*.tif"))]
    assert len(masks) == 5  # every fourth
    tracks = np.loadtxt(folder / "man_track.txt", dtype=int)
    later = tracks[tracks[:, 1] > 0]
    assert later.tolist() == [[len(tracks), 2, 4, later[0, 3]]]  # cell 6 comes back
    ends = tracks[later[0, 3] - 1]
    assert ends[1:3].tolist() == [0, 0]
    # The sides of an inner cell are 20 pixels long, drawn at half that.
    assert abs((masks[0] == ends[0]).sum() - 100) < 25
    movie = read_movie(folder.parent, *ALL_FRAMES)
    assert (movie.parent >= 0).sum() == len(movie.detections) - len(np.unique(masks[0])) + 1


@pytest.mark.parametrize("movie", ["train/BMP2_9_10_0", "test/BMP2_9"])
def test_every_tenth_frame_of_a_dish_becomes_points_and_edges(data, movie):
    folder = data / "myoblasts" / movie
    assert list(pd.read_csv(folder / "points.csv", nrows=1)) == ["frame", "label", "y", "x"]
    movie = read_tables(folder, *ALL_FRAMES)
    counts = np.bincount(movie.detections.frame)
    assert counts.tolist() == [3] * 3 + [4] * 36
    place, frame = movie.detections.centroid, movie.detections.frame
    assert len(movie.links) == counts[1:].sum()  # none has no parent
    mother = np.flatnonzero(np.bincount(movie.links[:, 0]) == 2)
    assert [(frame[row], *place[row]) for row in mother] == [(2, 20, 200)]
    daughters = movie.links[movie.links[:, 0] == mother[0], 1]
    assert sorted(place[daughters, 1]) == [250, 300]


def test_cells_that_people_followed_become_points_and_edges(data):
    movie = read_tables(data / "cellmap" / "test" / "BT549_A3_2", *ALL_FRAMES)
    place, frame = movie.detections.centroid, movie.detections.frame
    counts = np.bincount(frame)
    assert counts.tolist() == [21] * 3 + [22] * 3 + [21] * 3  # every sixth image
    assert len(movie.links) == counts[1:].sum()  # none has no parent
    mother = np.flatnonzero(np.bincount(movie.links[:, 0]) == 2)
    assert [(frame[row], *place[row]) for row in mother] == [(2, 0, 40)]
    daughters = movie.links[movie.links[:, 0] == mother[0], 1]
    assert sorted(place[daughters].tolist()) == [[0, 40], [7, 40]]


def test_models_learn_from_halves_of_the_fields_that_people_followed(data):
    folder = data / "cellmap" / "train"
    upper = read_tables(folder / "BT549_C10_2_upper_12", *ALL_FRAMES)
    # Images 5, 17, 29 and 41, from 0.
    assert np.bincount(upper.detections.frame).tolist() == [10, 10, 11, 10]
    assert set(upper.detections.centroid[:, 0]) == {0, 7}
    lower = read_tables(folder / "BT549_C10_2_lower_12", *ALL_FRAMES)
    assert np.bincount(lower.detections.frame).tolist() == [11] * 4
    assert set(lower.detections.centroid[:, 0]) == {100}


def test_the_mother_of_a_bud_is_the_cell_that_it_touches_most():
    """Cell 3 touches 1 and, less, 2; cell 4 touches none; cell 5 is there from the beginning."""
    masks = np.zeros((3, 60, 60), np.uint16)
    masks[:, 10:30, 10:30], masks[:, 10:30, 36:56], masks[:, 50:56, 50:56] = 1, 2, 5
    masks[1:, 15:20, 30:33], masks[2, 50:55, 5:10] = 3, 4
    expected = [[1, 0, 2, 0], [2, 0, 2, 0], [3, 1, 2, 1], [4, 2, 2, 0], [5, 0, 2, 0]]
    assert yeast.tracks_of(masks) == expected


@pytest.mark.parametrize(
    ("made", "source"),
    [
        ("microcolonies", "Wakamoto-lab/LineageAnalysis"),
        ("follicles", "a9w/epithelial_migration_signaling"),
        ("myoblasts", "NoneqPhysLivingMatterLab/laptrack-optimisation"),
        ("cellmap", "ocbe-uio/CellMAPtracer"),
        ("yeast", "rahi-lab/YeaZ-tracer"),
    ],
)
def test_a_folder_without_tables_is_rejected(tmp_path, made, source):
    result = run(made, tmp_path, tmp_path / "data")
    assert result.exit_code == 2
    assert f"clone {source}" in " ".join(result.output.split())
    assert not (tmp_path / "data").exists()
    result = run("colonies", "--data", tmp_path)
    assert result.exit_code == 2
    assert "`benchmarks microcolonies` makes it" in " ".join(result.output.split())


def test_no_movie_is_in_two_parts_or_learned_from_and_kept_back():
    learned = [
        Path(movie["truth"]).parts
        for file in CONFIGURATIONS.glob("*.toml")
        for movie in tomllib.loads(file.read_text()).get("train", ())
    ]
    assert not [place for place in learned if place[0] == "yeast"]
    followed_in: dict[str, list[str]] = {}
    for movie, (part, _) in cellmap.PARTS.items():
        followed_in.setdefault(part, []).append(movie)
    for name, parts in (
        ("microcolonies", microcolonies.PARTS),
        ("follicles", follicles.PARTS),
        ("cellmap", followed_in),
        ("myoblasts", {}),
    ):
        listed = [movie for movies in parts.values() for movie in movies]
        assert len(listed) == len(set(listed))
        own = [place for place in learned if place[0] == name]
        assert own
        assert {place[1] for place in own} == {"train"}


def test_scores_are_those_of_all_movies_together(data, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    slow = wandering.other_trackers
    monkeypatch.setattr(
        wandering, "other_trackers", lambda *args: {"laptrack": slow(*args)["laptrack"]}
    )
    result = run("colonies", "--data", data, "--part", "choosing")
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "colonies_choosing.json").read_text())["rows"]
    n_sets = len(colonies.READERS) - len(colonies.NOT_FOR_CHOOSING)
    assert len(rows) == n_sets * len(colonies.VERSIONS)
    whole = rows[0]
    n_movies = sum(microcolonies.N_FIELDS["choosing"]) * len(microcolonies.PARTS["choosing"])
    assert (whole["version"], whole["edges"]) == ("microcolonies, whole", 65 * n_movies)
    assert whole["divisions"] == n_movies
    assert whole["trackers"]["general_2d"]["edge_f1"] > 0.95
