"""A lineage in a notebook: its picture, and what other packages get of it."""

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from small_movies import dividing_cell, true_lineage
from trackastra_engine.detection.detections import concatenate
from trackastra_engine.detection.point_table import detections_of_table
from trackastra_engine.errors import InputError, MissingDependencyError
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import concatenate_edges
from trackastra_engine.output.notebook import MOST_DRAWN, WIDTH
from trackastra_engine.output.saved_tracks import read_tracks


@pytest.fixture
def lineage():
    return true_lineage(dividing_cell()[1])


def picture(lineage):
    """Return the text, and the points (P, 2) that the lines of the picture reach."""
    html = ElementTree.fromstring(f"<a>{lineage._repr_html_()}</a>")
    svg = html.find("svg")
    lines = "" if svg is None else svg.find("path").get("d")
    place, points = [0.0, 0.0], []
    for letter, numbers in re.findall(r"([MHV])([\d. ]+)", lines):
        values = list(map(float, numbers.split()))
        place = {"M": values, "H": [values[0], place[1]], "V": [place[0], values[0]]}[letter]
        points.append(place)
    return "".join(html.itertext()), np.array(points).reshape(-1, 2)


def test_a_notebook_shows_counts_and_a_line_for_each_track(lineage):
    """Tracks 1 and 2 from frame 0; 2 ends at frame 2, where 3 and 4 begin in lanes around it."""
    text, points = picture(lineage)
    assert text == "Lineage: 15 detections in 6 frames, 4 tracks, 1 divisions."
    frame = points[:, 0] / WIDTH * 6 - 0.5
    mother, upper, lower, other = points[[0, 3, 6, 9], 1]
    assert mother == (upper + lower) / 2
    assert other > lower
    np.testing.assert_allclose(frame[[0, 1, 3, 4, 6, 7, 8, 9]], [0, 2, 2, 5, 2, 5, 0, 5], atol=0.01)


def test_only_the_largest_lineages_of_many_are_drawn(lineage):
    many = detections_of_table(lineage.to_pandas().assign(frame=0, label=range(1, 16)))
    few = build_lineage(many, concatenate_edges([]))
    text, points = picture(few)
    assert "drawn" not in text
    assert len(points) == 2 * len(many)
    lots = build_lineage(concatenate([many] * 30, 2), concatenate_edges([]))
    text, points = picture(lots)
    assert f"The largest {MOST_DRAWN} are drawn." in text
    assert len(points) == 2 * MOST_DRAWN


def test_an_empty_lineage_is_shown_without_a_picture():
    empty = build_lineage(concatenate([], 2), concatenate_edges([]))
    assert picture(empty)[0] == "Lineage: 0 detections in 0 frames, 0 tracks, 0 divisions."
    assert len(empty.to_pandas()) == len(empty.to_networkx()) == 0


def test_a_table_holds_every_detection_with_its_track(lineage):
    table = lineage.to_pandas()
    assert table.columns[:7].tolist() == ["track", "parent", "frame", "label", "y", "x", "score"]
    assert table[["track", "frame"]].values.tolist() == sorted(
        table[["track", "frame"]].values.tolist()
    )
    assert table[table.score.isna()].frame.tolist() == [0, 0]
    again = detections_of_table(table)
    np.testing.assert_array_equal(again.centroid, lineage.detections.centroid)
    np.testing.assert_array_equal(again.label, lineage.detections.label)


def test_a_graph_has_the_links_of_the_lineage(lineage):
    graph, edges = lineage.to_networkx(), lineage.edges
    assert {(int(s) + 1, int(t) + 1) for s, t in zip(edges.source, edges.target, strict=True)} == {
        *graph.edges
    }
    for source, target, score in graph.edges(data="score"):
        assert graph.nodes[target]["frame"] == graph.nodes[source]["frame"] + 1
        assert 0.6 <= score <= 1
    assert [graph.nodes[node]["label"] for node in graph] == lineage.detections.label.tolist()


def test_a_folder_is_not_replaced_by_a_geff(lineage, tmp_path):
    with pytest.raises(InputError, match="exists; choose another folder"):
        lineage.to_geff(tmp_path)


def test_a_geff_is_read_as_it_was_written(lineage, tmp_path):
    lineage.to_geff(tmp_path / "tracks.geff")
    again = read_tracks(tmp_path / "tracks.geff").lineage
    np.testing.assert_array_equal(again.tracklets, lineage.tracklets)


@pytest.mark.parametrize(
    ("method", "package", "sentence"),
    [
        ("to_pandas", "pandas", "this needs pandas; install it with: pip install pandas"),
        ("to_networkx", "networkx", "this needs networkx; install it with: pip install networkx"),
        ("to_geff", "geff", r"a GEFF needs the package geff; install trackastra-engine\[geff\]"),
    ],
)
def test_a_missing_package_is_named(lineage, tmp_path, monkeypatch, method, package, sentence):
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    arguments = [tmp_path / "tracks.geff"] if method == "to_geff" else []
    with pytest.raises(MissingDependencyError, match=sentence):
        getattr(lineage, method)(*arguments)
