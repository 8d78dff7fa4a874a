"""The benchmarks of speed measure correctly, and reject results that differ."""

import json
import os
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace

import click
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import cores, reach, scaling, sources, whole
from benchmarks.candidate_graphs import save_graph, walking_cells
from benchmarks.cores import cores_table, modelled, powers_of_two, throughput_table, with_rates
from benchmarks.gpu import gpu_benchmark, peak_gpu_mb
from benchmarks.gpu import table as gpu_table
from benchmarks.gpu_profile import summary
from benchmarks.large import table as large_table
from benchmarks.large import track_movie
from benchmarks.latency import pushed
from benchmarks.length import without_transformer
from benchmarks.movie_variants import every_nth, typical_spacing
from benchmarks.paired_runs import Run, command, compared, compared_task
from benchmarks.plots import draw_transformer
from benchmarks.seeded_movies import SwingingCells, cells_per_frame, simulated_movie
from benchmarks.sources import table as sources_table
from benchmarks.stages import check_features
from benchmarks.strides import table as strides_table
from benchmarks.true_movies import as_points, as_true_movie
from benchmarks.whole import compare_edges
from benchmarks.workers.online import stored_bytes
from small_movies import dividing_cell, write_folder
from test_streaming import RandomModel, crowd
from trackastra_engine import Tracker
from trackastra_engine.files.replace import PRIVATE
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import candidate_graph
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.online import Session
from trackastra_engine.simulation import SimulationParameters, render

RUN = Run(cpu_s=1.0, wall_s=2.0, peak_mb=3.0)


def test_swinging_cells_are_all_in_every_frame_and_drawn_the_same_each_time():
    cells = SwingingCells(1000, 50, 200)
    sizes = [np.bincount(cells[frame].ravel(), minlength=51)[1:] for frame in (0, 7, 999)]
    assert (np.array(sizes) == sizes[0][0]).all()  # no cell covers another or leaves
    np.testing.assert_array_equal(cells[7], cells[7])
    assert (cells[7] != cells[8]).any()
    assert (SwingingCells(1000, 50, 200, seed=1)[7] != cells[7]).any()


def test_simulated_movies_have_the_requested_cells_and_size():
    images, masks = simulated_movie(40, (90, 140), 4)
    assert images.shape == masks.shape == (4, 90, 140)
    assert 28 <= cells_per_frame(masks) <= 52


def test_long_movies_go_forwards_and_backwards(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "SIMULATED_FRAMES", 3)
    about = whole.write_long_movie(tmp_path / "movie", 30, 8)
    assert (about["frames"], about["shape"]) == (8, whole.frame_shape(30))
    assert 20 <= about["cells"] <= 40
    movie = open_movie(tmp_path / "movie" / "images", tmp_path / "movie" / "masks")
    frames = list(movie)
    assert len(frames) == 8
    for step, same in ((3, 1), (4, 0), (7, 1)):
        np.testing.assert_array_equal(frames[step].labels, frames[same].labels)
        brighter = frames[step].image.astype(int) - frames[same].image
        assert np.ptp(brighter) == 0
        assert brighter[0, 0] > 0


def test_runs_alternate_and_pairs_are_compared():
    order = []

    def program(name, seconds):
        times = iter(seconds)

        def run():
            order.append(name)
            return replace(RUN, cpu_s=next(times))

        return run

    row = compared(program("a", [9, 1, 2, 1]), program("b", [9, 4, 6, 30]), repeats=3)
    assert order == list("abababab")
    assert row["engine"]["cpu_s"] == 1
    assert row["engine"]["cpu_s_range"] == [1, 2]
    assert row["upstream"]["cpu_s"] == 6
    assert row["times_faster"] == 4  # the median of 4, 3 and 30
    assert row["times_faster_range"] == [3, 30]


def test_a_command_is_measured_without_its_caller():
    memory_of_the_caller = np.ones(300 * 2**20, np.uint8)
    small = command(sys.executable, "-S", "-c", "pass")()
    large = command(sys.executable, "-S", "-c", f"bytearray({len(memory_of_the_caller)})")()
    assert small.peak_mb < 100
    assert 300 < large.peak_mb < 400
    assert 0 < small.cpu_s < 5


def test_a_command_that_fails_reports_its_error():
    with pytest.raises(click.ClickException, match="no such thing"):
        command(sys.executable, "-c", "raise SystemExit('no such thing')")()


def test_the_worker_links_like_the_engine(tmp_path):
    graph = walking_cells(4, 30, 3)
    save_graph(graph, tmp_path / "graph.npz")
    row, (found,) = compared_task(
        "linking", tmp_path / "graph.npz", "256", "greedy", upstream=None, repeats=1
    )
    kept = linker("greedy")(candidate_graph(graph.detections, graph.edges)).edges
    expected = sorted(zip(kept.source.tolist(), kept.target.tolist(), strict=True))
    assert list(map(tuple, found["edges"].tolist())) == expected
    assert row["engine"]["cpu_s"] > 0


def test_tracking_ends_before_its_first_window(tmp_path):
    images, masks = dividing_cell()
    folders = (
        write_folder(tmp_path / "images", images),
        write_folder(tmp_path / "masks", masks),
    )
    module = ("-m", "benchmarks.workers.first_window")
    command(sys.executable, *module, *folders, "-o", tmp_path / "out", "--device", "cpu")()
    left = [path.name for path in (tmp_path / "out").iterdir()]
    assert left == [PRIVATE]  # its lock, and perhaps detections, but no results


def test_a_long_movie_is_tracked_without_the_transformer():
    row = without_transformer(n_frames=40, n_cells=9, side_px=64)
    assert (row["frames"], row["detections"]) == (40, 360)
    assert row["edges"] > 300


def test_a_large_movie_is_written_and_tracked_at_any_size(tmp_path):
    row = track_movie(tmp_path, n_frames=4, n_cells=16, side_px=128, device="cpu")
    assert row["raw_gb"] == round(4 * 128**2 * 8 / 1e9, 3)
    assert (tmp_path / "out" / "edges.csv").is_file()
    head, line = large_table({"movies": [row]})
    assert len(head) == len(line)
    assert line[0] == "4"


def test_other_features_than_upstreams_are_rejected():
    upstream = {"coordinates": np.ones((3, 3)), "features": np.full((3, 7), 5.0)}
    check_features(upstream, upstream)
    engine = {**upstream, "features": upstream["features"] + [[0], [0], [0.01]]}
    with pytest.raises(click.ClickException, match="features differ"):
        check_features(engine, upstream)


def test_other_edges_than_upstreams_are_rejected(tmp_path):
    lines = ["source_frame,source_label,target_frame,target_label,weight"]
    lines += [f"0,{label},1,{label},0.9" for label in range(1, 101)]
    for side, edges in (("engine", lines), ("upstream", lines)):
        (tmp_path / f"{side}.csv").write_text("\n".join(edges))
    assert compare_edges(tmp_path)["edges"] == 100
    (tmp_path / "engine.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(click.ClickException, match="1 of 100 edges"):
        compare_edges(tmp_path)


def side(seconds):
    return {"cpu_s": seconds, "peak_mb": 100 * seconds}


def test_plots_are_pictures_with_text_that_depend_only_on_the_result(tmp_path):
    result = {
        "windows": [
            {"tokens": 100, "engine": side(1), "upstream": side(3)},
            {"tokens": 1000, "engine": side(10)},
        ]
    }
    draw_transformer(result, tmp_path / "one.svg")
    draw_transformer(result, tmp_path / "two.svg")
    texts = [element.text for element in ET.parse(tmp_path / "one.svg").iter() if element.text]
    assert {"engine", "upstream", "1,000"} <= set(texts)
    assert (tmp_path / "one.svg").read_text() == (tmp_path / "two.svg").read_text()


@pytest.mark.parametrize("way", ["session", "serve"])
def test_pushes_are_timed_frame_by_frame(way):
    found = pushed(way, 100, 4, 40, "cpu")
    assert len(found["wall_s"]) == len(found["cpu_s"]) == 100
    assert (found["wall_s"] > 0).all()
    assert 50 < found["memory_mb"][0] < 1000
    assert (way == "session") == ("tracks_mb" in found)


def test_the_bytes_of_a_field_of_view_are_counted():
    session = Session(Tracker(RandomModel(), linker("greedy")))
    for mask in crowd():
        session.push(None, mask)
    n_detections, n_links = 11 * 30, sum(map(len, session.fields[0].links))
    smallest = n_detections * (4 + 8 + 16 + 56 + 8) + n_links * 24
    assert smallest < stored_bytes(session.fields[0]) < smallest + 12 * 8 * 150


def test_the_benchmark_of_a_gpu_runs_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.record.RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.gpu_bound.N_NUMBERS", {"cpu": 1000})
    small = ["--sizes", "8,12", "--answered", "12", "--frames", "6", "--pushes", "100"]
    small += ["--profiled", "12"]
    done = CliRunner().invoke(gpu_benchmark, ["--device", "cpu", "--repeats", "1", *small])
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["device"] == "cpu"
    assert all(movie["links"] >= 5 * movie["cells"] - 1 for movie in result["movies"])
    assert all(rate > 0 for rate in result["rates"].values())
    assert all(min(window["bound"].values()) > 0 for window in result["windows"])
    (profile,) = result["profiles"]
    assert {node["provider"] for node in profile["nodes"]} == {"CPUExecutionProvider"}
    assert sum(node["count"] for node in profile["nodes"] if node["operator"] == "Gelu") == 14
    header, *rows = gpu_table(result)
    assert [row[0] for row in rows] == ["8", "12"]
    assert [bool(row[-1]) for row in rows] == [False, True]
    assert {len(row) for row in rows} == {len(header)}


def test_the_profile_has_the_copies_and_kernels_of_the_last_run():
    def event(name, start, length, category="Node", **about):
        return {"name": name, "ts": start, "dur": length, "cat": category, "args": about}

    cuda = {"provider": "CUDAExecutionProvider"}
    events = [
        event("model_run", 0, 90, "Session"),
        event("a_kernel_time", 10, 50, op_name="Gemm", **cuda),
        event("model_run", 100, 90, "Session"),
        event("a_kernel_time", 110, 20, op_name="Gemm", **cuda),
        event("a_fence_before", 110, 20, op_name="Gemm"),
        event("b_kernel_time", 140, 5, op_name="Gemm", **cuda),
        event("c_kernel_time", 150, 8, op_name="MemcpyToHost", **cuda),
        event("cutlass", 160, 3, "Kernel"),
    ]
    assert summary(events) == {
        "run_ms": 0.09,
        "nodes": [
            {**cuda, "operator": "Gemm", "count": 2, "ms": 0.025},
            {**cuda, "operator": "MemcpyToHost", "count": 1, "ms": 0.008},
        ],
        "kernels": [{"name": "cutlass", "ms": 0.003}],
    }


def test_the_peak_memory_of_a_gpu_is_the_maximum_of_its_tool(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 12; echo 345; echo '[N/A]'; echo 67; exec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with peak_gpu_mb() as peak:
        time.sleep(0.5)
    assert peak == [345]
    monkeypatch.setenv("PATH", "")
    with peak_gpu_mb() as peak:
        pass
    assert peak == []


def test_more_workers_share_all_but_the_serial_part():
    measured = [{"workers": 1, "wall_s": 10.0, "serial_s": 2.0}]
    assert [scaling.modelled(measured, n) for n in (1, 2, 8, 800)] == [10.0, 6.0, 3.0, 2.01]
    *_, last = scaling.workers_table({"dask": measured, "frames": 21, "cells": 300})
    assert last == ["100", "2.1 s", "10.1 frames/s, 3,029 cells/s", "4.8", "modelled"]


def test_more_cores_are_modelled_from_the_measured_ones():
    rows = [{"cores": 1, "times_faster": 1.0}, {"cores": 4, "times_faster": 2.5}]
    assert modelled(rows, 4) == 2.5
    assert modelled(rows, 1000) == pytest.approx(1 / 0.2, abs=0.1)  # a fifth is serial
    perfect = [rows[0], {"cores": 2, "times_faster": 2.1}]
    assert modelled(perfect, 8) == 8.0
    assert [powers_of_two(most) for most in (1, 2, 6)] == [[1], [1, 2], [1, 2, 4, 6]]


def test_the_limit_of_more_cores_is_that_of_commands_side_by_side(tmp_path, monkeypatch):
    seconds = {1: 10.0, 2: 6.0}
    monkeypatch.setattr(
        cores, "tracked", lambda _, n_cores: (Run(10.0, seconds[n_cores], 100.0), b"links")
    )
    monkeypatch.setattr(cores, "tracked_at_once", lambda _, n_cores: {2: 12.5}[n_cores])
    one, two = cores.on_cores(tmp_path, (1, 2), repeats=1)
    assert (one["times_faster"], one["limit"]) == (1.0, 1.0)
    assert (two["times_faster"], two["limit"]) == (1.67, 1.6)


def test_commands_side_by_side_have_a_core_each(tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(
        cores, "tracked", lambda _, n_cores, first_core: used.append((n_cores, first_core))
    )
    assert cores.tracked_at_once(tmp_path, 3) >= 0
    assert sorted(used) == [(1, 0), (1, 1), (1, 2)]


def test_cells_per_second_are_next_to_frames_per_second():
    about = {"cells": 1000, "frames": 30, "shape": [100, 200]}
    rates = with_rates(about, 10.0)
    assert rates == {"frames_per_s": 3.0, "cells_per_s": 3000}
    rows = [
        {"cores": n_cores, "wall_s": 10.0, "times_faster": faster, "limit": 1.9, **rates}
        for n_cores, faster in ((1, 1.0), (2, 2.0))
    ]
    shown = list(cores_table({"movies": [{**about, "cores": rows}]}))
    assert shown[1] == ["1,000, 30", "1", "10.0 s", "3.0 frames/s", "3,000", "1.00", "1.90"]
    assert shown[3] == ["1,000, 30", "4", "", "", "", "4.0 modelled", ""]
    runs = [{"on": "one core", **rates}, {"on": "2 cores", **rates}]
    shown = list(throughput_table({"movies": [{**about, "runs": runs}]}))
    assert shown[0][3:] == ["one core", "2 cores"]
    assert shown[1][3] == "3,000 cells/s, 3.0 frames/s"


def test_strides_are_compared_by_accuracy_and_cells_per_second():
    one = {"edge_f1": 0.99, "division_f1": 0.9, "errors": 10, "cpu_s_per_1000_detections": 0.4}
    two = {"edge_f1": 0.98, "division_f1": 0.8, "errors": 15, "cpu_s_per_1000_detections": 0.2}
    movie = {"movie": "cells", "detections": 1000, "strides": {"1": one, "2": two}}
    head, row, changed = strides_table({"movies": [movie]})
    assert len(head) == len(row) == len(changed)
    assert row[2:] == ["0.9900 / 0.900", "10", "2,500", "0.9800 / 0.800", "15", "5,000"]
    assert changed[-2:] == ["+25.0 %", "-50.0 %"]


def test_reaches_are_compared_with_the_longest(tmp_path):
    models = reach.with_reaches("general_2d", (2.0, 1.0), tmp_path)
    assert [model.spec.cutoff for model in models.values()] == [32.0, 16.0]
    one = {"errors": 10, "cpu_s_per_1000_detections": 0.4}
    two = {"errors": 15, "cpu_s_per_1000_detections": 0.2}
    kinds = ((2, 1000, reach.REAL), (2, 3000, reach.REAL), (2, 9000, reach.FAST))
    rows = [
        {"ndim": ndim, "kind": kind, "detections": count, "reaches": {"2.0": one, "1.0": two}}
        for ndim, count, kind in (*kinds, (3, 1000, reach.REAL), (3, 1000, reach.FAST))
    ]
    rows[0]["reaches"] = {"2.0": two, "1.0": one}
    head, longest, shorter = reach.table({"movies": rows})
    assert len(head) == len(longest) == len(shorter)
    assert head[2:4] == ["errors, 2 real movies", "errors, 1 movies of simulated fast cells"]
    assert longest[:5] == ["2.0", "0.350", "25 (+0.0 %)", "10 (+0.0 %)", "0.400"]
    assert shorter[:5] == ["1.0", "0.250", "25 (+0.0 %)", "15 (+25.0 %)", "0.200"]


def test_fast_cells_pass_their_neighbours():
    for ndim in reach.FAST_CELLS:
        _, movie = next(reach.fast_cells(ndim))
        found, links = movie.detections, movie.links
        step = found.centroid[links[:, 1]] - found.centroid[links[:, 0]]
        assert found.ndim == ndim
        assert np.quantile(np.linalg.norm(step, axis=1), 0.9) > 0.5 * typical_spacing(found)


def test_links_by_the_nearest_sources_are_compared_with_those_by_all():
    parameters = SimulationParameters(n_frames=21, n_cells=60)
    filmed = as_points(as_true_movie(render(parameters, seed=0), z_step=1.0))
    movie = every_nth(filmed, 4)
    models = sources.load("general_2d")
    same = sources.compared(models, movie)
    assert same["different_links"] == 0
    assert same["detections"] == len(movie.detections)
    models["nearest"].most_sources = 1
    others = sources.compared(models, movie)
    assert others["different_links"] > 0
    rows = [{"movie": "a", **same, "cpu_s_per_1000_detections": seconds} for seconds in TIMES]
    head, *_, changed = sources_table({"movies": rows})
    assert head[-3:] == ["CPU s, all", "CPU s, nearest", "CPU s, nearest, --max-gap 1"]
    assert changed[-2:] == ["-50 %", "-75 %"]


TIMES = [
    {"all": 4.0, "nearest": 2.0, "nearest, --max-gap 1": 1.0},
    {"all": 1.0, "nearest": 0.5, "nearest, --max-gap 1": 0.25},
]
