"""How long does the transformer take for a window, by its size, compared with upstream?"""

import json
import time
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import DEVICE_OPTION, UPSTREAM_OPTION, compared_task
from benchmarks.random_network import CUTOFF_PX, WIDTH, WINDOW, published_size, write_network
from benchmarks.record import write_result
from trackastra_engine.bench.machine import product_rate
from trackastra_engine.model.attention_plan import plan_attention

SPACING_PX = 60  # a cell has 60 x 60 pixels: 57 lie within the cutoff in each frame
MOTION_PX = 4.0  # standard deviation of a step
MAX_EXACT = 1600  # tokens; float64 takes a minute
MAX_UPSTREAM = {"cpu": 4000, "cuda": 20_000}  # tokens; upstream takes a minute, and 20 GB
MIN_LINK_SCORE = 0.5
SIDES = ("engine", "upstream")


def random_window(n_tokens: int) -> dict[str, NDArray[np.float32]]:
    """Return coordinates (N, 3) and features (N, 7) of cells that move a little, frame by frame."""
    rng = np.random.default_rng(n_tokens)
    side = SPACING_PX * np.sqrt(n_tokens / WINDOW)
    place = rng.uniform(0, side, (n_tokens // WINDOW, 2))
    steps = rng.normal(0, MOTION_PX, (WINDOW, *place.shape)).cumsum(axis=0)
    time_and_place = [
        np.column_stack([np.full(len(place), t), place + steps[t]]) for t in range(WINDOW)
    ]
    features = rng.uniform(0, 20, (n_tokens, 7))
    return {
        "coordinates": np.concatenate(time_and_place).astype(np.float32),
        "features": features.astype(np.float32),
    }


def measure(
    folder: Path, n_tokens: int, upstream: str | None, repeats: int, device: str
) -> dict[str, Any]:
    """Return times of a window on both sides, and the difference of their scores."""
    window = random_window(n_tokens)
    np.savez(folder / "window.npz", **window)
    row, results = compared_task(
        "window",
        device,
        folder,
        folder / "window.npz",
        upstream=upstream if n_tokens <= MAX_UPSTREAM[device] else None,
        repeats=repeats if n_tokens <= MAX_UPSTREAM[device] else 1,
        clock="cpu_s" if device == "cpu" else "wall_s",
    )
    row["plan_s"] = round(plan_time(window["coordinates"]), 5)
    row["products_s"] = round(product_time(window["coordinates"]), 4)
    scores = {name: found["scores"] for name, found in zip(SIDES, results, strict=False) if found}
    if n_tokens <= MAX_EXACT:
        scores["float64"] = exact_scores(window)
    row["differences"] = [
        {"between": [one, other], **difference(scores[one], scores[other])}
        for one, other in combinations(scores, 2)
    ]
    return {"tokens": n_tokens, **row}


def plan_time(coordinates: NDArray[np.float32]) -> float:
    """Return the CPU seconds to plan the blocks, a part of the engine's time."""
    plan_attention(coordinates, CUTOFF_PX)
    start = time.process_time()
    plan_attention(coordinates, CUTOFF_PX)
    return time.process_time() - start


def product_time(coordinates: NDArray[np.float32]) -> float:
    """Return the seconds of only the network's matrix products, at this core's best rate."""
    return operations(coordinates) / product_rate(threads=1)


def operations(coordinates: NDArray[np.float32]) -> int:
    """Return the operations in the network's matrix products.

    Counted are those of all layers, attention's within the planned blocks, and both heads'.
    """
    plan, network = plan_attention(coordinates, CUTOFF_PX), published_size().config
    n_tokens, n_targets = len(plan.token), len(plan.target)
    encoder = 16 * WIDTH**2 * n_tokens + 4 * WIDTH * n_pairs(n_tokens, plan.encoder_key_count)
    decoder = 12 * WIDTH**2 * n_targets + 4 * WIDTH * n_pairs(n_targets, plan.decoder_key_count)
    decoder += 4 * WIDTH**2 * n_tokens  # keys and values
    heads = 8 * WIDTH**2 * (n_tokens + n_targets)
    return network.num_encoder_layers * encoder + network.num_decoder_layers * decoder + heads


def n_pairs(n_queries: int, n_keys: NDArray[np.int32]) -> int:
    """Return the number of pairs in attention, of queries in equal blocks with their keys."""
    return n_queries // len(n_keys) * int(n_keys.sum())


@torch.inference_mode()
def exact_scores(window: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the scores (N, N) between neighbouring frames by PyTorch in float64."""
    model = published_size().double()
    coordinates, features = (
        torch.from_numpy(window[key]).double()[None] for key in ("coordinates", "features")
    )
    frame = coordinates[..., 0].long()
    logits = model(coordinates, features)
    scores = model.normalised_scores(logits, frame, coordinates, forward_only=True)[0].numpy()
    return np.where(frame[0][None, :] - frame[0][:, None] == 1, scores, 0)


def difference(one: NDArray[Any], other: NDArray[Any]) -> dict[str, Any]:
    """Return the largest difference of scores (N, N), and the number of edges of only one."""
    likely = [scores >= MIN_LINK_SCORE for scores in (one, other)]
    return {
        "largest": float(f"{np.abs(one - other).max():.2g}"),
        "likely_edges": int(likely[0].sum()),
        "of_one_alone": int((likely[0] != likely[1]).sum()),
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of window sizes: CPU time and memory of the engine and of upstream."""
    yield [
        *("tokens of a window", "engine", "a window for each frame", "its matrix products"),
        *("per token", "peak memory", "upstream", "times faster"),
    ]
    for window in result["windows"]:
        engine, upstream = window["engine"], window.get("upstream")
        yield [
            f"{window['tokens']:,}",
            f"{engine['cpu_s']:.3f} s",
            per_second(window["tokens"] / WINDOW, 1, engine["cpu_s"]),
            f"{window['products_s']:.3f} s" if "products_s" in window else "",
            f"{1e3 * engine['cpu_s'] / window['tokens']:.2f} ms",
            f"{engine['peak_mb']:,} MB",
            f"{upstream['cpu_s']:.3f} s" if upstream else "",
            f"{window['times_faster']:.1f}" if upstream else "",
        ]


@click.command()
@click.option("--sizes", default="100,400,1600,4000,16000,64000", show_default=True)
@UPSTREAM_OPTION
@DEVICE_OPTION
@click.option("--repeats", default=5, show_default=True, help="Runs of each, up to 4000 tokens.")
def transformer(sizes: str, upstream: str | None, device: str, repeats: int) -> None:
    """Time one window of several numbers of tokens; d = 256, 6 + 6 layers, 4 frames, one thread."""
    torch.set_num_threads(1)
    rows = []
    with TemporaryDirectory() as name:
        write_network(Path(name))
        for n_tokens in map(int, sizes.split(",")):
            rows.append(measure(Path(name), n_tokens, upstream, repeats, device))
            print(json.dumps(rows[-1]), flush=True)
    within = np.pi * CUTOFF_PX**2 / SPACING_PX**2
    setting = {"cutoff_px": CUTOFF_PX, "tokens_a_frame_within_the_cutoff": round(within)}
    answer = {"device": device, "setting": setting, "windows": rows}
    print(f"written to {write_result('transformer', answer, upstream=upstream)}")
