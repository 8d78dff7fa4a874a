"""The command `serve`."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import (
    ALIGN_OPTION,
    DEVICE_OPTION,
    MODEL_OPTION,
    THREADS_OPTION,
)

MEBIBYTE = 2**20


@click.command()
@click.option(
    "--listen",
    "address",
    default="127.0.0.1:41800",
    show_default=True,
    metavar="ADDRESS",
    help="HOST:PORT, unix:PATH, or stdio for one client on standard input and output.",
)
@click.option(
    "--allow-network",
    is_flag=True,
    help="Accept an ADDRESS that other machines can reach; there is no password or encryption.",
)
@MODEL_OPTION
@click.option(
    "--mode",
    type=click.Choice(["greedy", "greedy_nodiv", "ilp", "ilp_nodiv"]),
    default="greedy",
    show_default=True,
    help="Linking method.",
)
@click.option(
    "--max-distance",
    metavar="LENGTH",
    help="Longest link: 40, 40px or 12um.  [default: model's reach]",
)
@click.option(
    "--rates",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="Whether scores are corrected by the rates at which cells divide, or have no parent.",
)
@click.option("--voxel", metavar="Z,Y,X", help="Size of a voxel in micrometres.")
@click.option(
    "--delay",
    type=int,
    help="Frames after which links are final.  [default: links at once, corrected later]",
)
@click.option(
    "--max-message",
    "max_message_mib",
    type=click.IntRange(1, 2**20),
    default=256,
    show_default=True,
    help="Largest size of image and mask together, in MiB.",
)
@ALIGN_OPTION
@DEVICE_OPTION
@THREADS_OPTION
@one_sentence_errors
def serve(
    address: str,
    allow_network: bool,
    model: str,
    mode: str,
    max_distance: str | None,
    rates: str,
    voxel: str | None,
    delay: int | None,
    max_message_mib: int,
    align: Any,
    device: Any,
    threads: int | None,
) -> None:
    """Track frames that programs in other languages send while they acquire.

    Messages are described in trackastra_engine/serving/__init__.py, with examples in C and Python
    next to it.
    """
    from trackastra_engine import Tracker
    from trackastra_engine.movie.voxels import parse_voxel_size
    from trackastra_engine.online import Session
    from trackastra_engine.serving import Limits, listen, serve_sockets, serve_standard_streams

    voxel_um = parse_voxel_size(voxel) if voxel else None
    limits = Limits(array_bytes=max_message_mib * MEBIBYTE)

    def load() -> Callable[[], Session]:
        tracker = Tracker.load(
            model,
            mode=mode,
            max_distance=max_distance,
            align=align,
            device=device,
            threads=threads,
            rates=rates,
        )
        return partial(Session, tracker, delay=delay, voxel_um=voxel_um, max_objects=limits.objects)

    if address == "stdio":
        serve_standard_streams(load(), limits)
        return
    with closing(listen(address, allow_network=allow_network)) as listener:
        new_session = load()
        new_session()  # compiles the kernels, so that no client waits
        click.echo(f"Listening at {listener.name}")
        serve_sockets(listener, new_session, limits)
