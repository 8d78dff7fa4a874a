"""A night of data on a small scale: a plate that is tracked, stopped, continued and viewed.

    pip install ".[cpu,dask]" && python tests/large_data.py night

writes an OME-Zarr plate of three movies into the folder `night`, prints each command before it
runs, and writes the results there. The commands for your own plate are the same.
"""

import csv
import subprocess
import sys
import time
from pathlib import Path

from ome_zarrs import write_labels, write_plate
from trackastra_engine.simulation import SimulationParameters, render

ENGINE = (sys.executable, "-m", "trackastra_engine")
WELLS = ("A/1/0", "A/2/0", "B/1/0")
MOVIE = SimulationParameters(n_frames=20, n_cells=20)


def write_movies(plate: Path) -> None:
    """Write movies with their masks as labels."""
    movies = {well: render(MOVIE, seed=number) for number, well in enumerate(WELLS)}
    write_plate(plate, {well: movie.images for well, movie in movies.items()}, "tyx")
    for well, movie in movies.items():
        write_labels(plate / well, "nuclei", movie.masks, "tyx")


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Print and start a command."""
    words = list(map(str, arguments))
    print("\n$ trackastra-engine", *words, flush=True)
    return subprocess.Popen([*ENGINE, *words])


def run(*arguments: object) -> None:
    """Run a command, which must succeed."""
    assert start(*arguments).wait() == 0


def track_all_night(plate: Path, out: Path) -> None:
    """Track all movies, two at a time; stop after the first, then continue."""
    batch = ("batch", plate, "-o", out, "--jobs", 2, "--format", "csv")
    process = start(*batch)
    while len(list(out.glob("*.log"))) < len(WELLS):  # the last begins when the first is done
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    process.wait()
    print("stopped; the same command tracks the remaining movies", flush=True)
    run(*batch)
    with (out / "summary.csv").open(encoding="utf-8") as file:
        assert sorted(row["status"] for row in csv.DictReader(file))[-1] == "unchanged"


def main(folder: Path) -> None:
    """Track, stop, continue, link again, convert, and track with workers."""
    plate, out = folder / "plate.zarr", folder / "tracks"
    write_movies(plate)
    track_all_night(plate, out)
    # Another linker reads no pixel: detections and scored edges are cached.
    run("link", out / "A-1-0", "--mode", "ilp", "--max-distance", 40, "-o", folder / "linked")
    run("convert", folder / "linked", "--to", "trackmate,napari", "-o", folder / "converted")
    # Workers, here or on a cluster, give the same result to the last bit.
    well = ("track", plate, plate, "--position", "B/1/0", "--format", "csv", "--no-report")
    run(*well, "--dask", "local:2", "-o", folder / "by-workers")
    tables = [place / "edges.csv" for place in (out / "B-1-0", folder / "by-workers")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    print(f"\nLook at {out / 'summary.html'} and {folder / 'linked' / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
