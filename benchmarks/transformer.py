"""What does the transformer cost a window, how does it grow, and what against upstream's?"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import window_workers
from benchmarks.record import write_result
from trackastra_engine.locality import plan_attention
from trackastra_engine.spec import ModelSpec
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import save_model
from trackastra_training.transformer import TrackingTransformer, TransformerConfig

N_FRAMES = 4
CUTOFF_PX = 256
SPACING_PX = 60  # a cell has 60 x 60 pixels: 57 lie within the cutoff in each frame
MOTION_PX = 4.0  # standard deviation of a step
HEAD_GAIN = 4.0  # makes the scores of random weights spread over 0 to 1
MAX_EXACT, MAX_UPSTREAM = 1600, 4000  # tokens; what float64 and upstream do in a minute
SPEC = ModelSpec("random", 2, N_FRAMES, "upstream", "movie", CUTOFF_PX, "all")


def published_size() -> TrackingTransformer:
    """Return a network of the size of upstream's published ones, with random weights."""
    torch.manual_seed(0)
    config = TransformerConfig(
        coord_dim=2,
        feat_dim=7,
        d_model=256,
        nhead=4,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dropout=0.0,
        feat_embed_per_dim=8,
        window=N_FRAMES,
        spatial_pos_cutoff=CUTOFF_PX,
    )
    model = TrackingTransformer(config).eval()
    with torch.no_grad():
        for head in (model.head_x, model.head_y):
            head.fc2.weight.mul_(HEAD_GAIN)
    return model


def random_window(n_tokens: int) -> dict[str, NDArray[np.float32]]:
    """Return coordinates (N, 3) and features (N, 7) of cells that move a little, frame by frame."""
    rng = np.random.default_rng(n_tokens)
    side = SPACING_PX * np.sqrt(n_tokens / N_FRAMES)
    place = rng.uniform(0, side, (n_tokens // N_FRAMES, 2))
    steps = rng.normal(0, MOTION_PX, (N_FRAMES, *place.shape)).cumsum(axis=0)
    time_and_place = [
        np.column_stack([np.full(len(place), t), place + steps[t]]) for t in range(N_FRAMES)
    ]
    features = rng.uniform(0, 20, (n_tokens, 7))
    return {
        "coordinates": np.concatenate(time_and_place).astype(np.float32),
        "features": features.astype(np.float32),
    }


@contextmanager
def worker(python: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a worker on one thread; it ends, and writes its scores, with the context."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(
        [python, window_workers.__file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **one_thread},
    )
    with process:
        yield process
    if process.returncode:
        raise click.ClickException(f"{python} failed with {arguments[0]}")


def ask(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return what one run took."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


def measure(folder: Path, n_tokens: int, upstream: str | None, repeats: int) -> dict[str, Any]:
    """Return what a window takes; runs of both programs alternate, after one to warm up."""
    window = random_window(n_tokens)
    np.savez(folder / "window.npz", **window)
    common = [str(folder / "window.npz")]
    ours = worker(
        sys.executable, "engine", str(folder / "model.onnx"), *common, str(folder / "engine.npy")
    )
    if upstream is None or n_tokens > MAX_UPSTREAM:
        with ours as engine:
            runs = [ask(engine) for _ in range(repeats + 1)]
        theirs = []
    else:
        other = worker(upstream, "upstream", str(folder), *common, str(folder / "upstream.npy"))
        with ours as engine, other as reference:
            pairs = [(ask(engine), ask(reference)) for _ in range(repeats + 1)]
        runs, theirs = [own for own, _ in pairs], [their for _, their in pairs]
    plan_s = plan_time(window["coordinates"])
    row = {"tokens": n_tokens, "engine": summary(runs, n_tokens), "plan_s": round(plan_s, 5)}
    if n_tokens <= MAX_EXACT:
        row["largest_difference_from_float64"] = difference(folder, "engine", window)
    if theirs:
        row["upstream"] = summary(theirs, n_tokens)
        ratios = [b["cpu_s"] / a["cpu_s"] for a, b in zip(runs, theirs, strict=True)][1:]
        row["times_faster"] = round(float(np.median(ratios)), 2)
        row["times_faster_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
        row["largest_difference_from_upstream"] = largest(folder, "engine", "upstream")
        if n_tokens <= MAX_EXACT:
            row["upstreams_difference_from_float64"] = difference(folder, "upstream", window)
    return row


def plan_time(coordinates: NDArray[np.float32]) -> float:
    """Return the CPU seconds that planning the blocks takes, which are part of the engine's."""
    plan_attention(coordinates, CUTOFF_PX)
    start = time.process_time()
    plan_attention(coordinates, CUTOFF_PX)
    return time.process_time() - start


def summary(runs: list[dict[str, float]], n_tokens: int) -> dict[str, Any]:
    """Return median and spread of the runs but the first."""
    seconds = [run["cpu_s"] for run in runs[1:]]
    return {
        "cpu_s": round(float(np.median(seconds)), 4),
        "cpu_s_range": [round(min(seconds), 4), round(max(seconds), 4)],
        "ms_per_token": round(1e3 * float(np.median(seconds)) / n_tokens, 4),
        "peak_mb": round(runs[-1]["peak_mb"]),
        "of_it_before_the_window_mb": round(runs[-1]["loaded_mb"]),
    }


def largest(folder: Path, one: str, other: str) -> float:
    """Return the largest difference of a score between neighbouring frames."""
    scores = [np.load(folder / f"{name}.npy") for name in (one, other)]
    return float(f"{np.abs(scores[0] - scores[1]).max():.2g}")


@torch.inference_mode()
def difference(folder: Path, name: str, window: dict[str, NDArray[np.float32]]) -> float:
    """Return the largest difference of a score from PyTorch's in float64."""
    model = published_size().double()
    coordinates, features = (
        torch.from_numpy(window[key]).double()[None] for key in ("coordinates", "features")
    )
    frame = coordinates[..., 0].long()
    logits = model(coordinates, features)
    exact = model.normalised_scores(logits, frame, coordinates, forward_only=True)[0].numpy()
    np.save(folder / "exact.npy", window_workers.as_matrix(exact, frame[0].numpy()))
    return largest(folder, name, "exact")


@click.command()
@click.option("--sizes", default="100,400,1600,4000,16000,64000", show_default=True)
@click.option("--upstream", help="a Python interpreter that has trackastra installed")
@click.option("--repeats", default=5, show_default=True, help="runs of each, up to 4000 tokens")
def transformer(sizes: str, upstream: str | None, repeats: int) -> None:
    """Time one window of several numbers of tokens; d = 256, 6 + 6 layers, 4 frames, one thread."""
    torch.set_num_threads(1)
    model = published_size()
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_model(model, SPEC, folder)
        (folder / "model.onnx").write_bytes(build_graph(model, SPEC).SerializeToString())
        for n_tokens in map(int, sizes.split(",")):
            few = repeats if n_tokens <= MAX_UPSTREAM else 1
            rows.append(measure(folder, n_tokens, upstream, few))
            print(json.dumps(rows[-1]), flush=True)
    within = np.pi * CUTOFF_PX**2 / SPACING_PX**2
    setting = {"cutoff_px": CUTOFF_PX, "tokens_a_frame_within_the_cutoff": round(within)}
    print(f"written to {write_result('transformer', {'setting': setting, 'windows': rows})}")
