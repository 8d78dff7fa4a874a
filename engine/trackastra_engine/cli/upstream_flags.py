"""The flags of upstream's `trackastra track`, translated to options of this engine."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from trackastra_engine.cli.options import PATH
from trackastra_engine.errors import InputError

MAX_DISTANCE_PX = 128.0  # upstream's default (cli.py), for the same tracks with its models


class AsUpstream:
    """The object of a context in which commands behave as upstream's, as from its shim."""


def upstream_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Add upstream's flags to a command with model, max_distance and device."""

    @click.option(
        "--model-pretrained",
        metavar="NAME",
        help="A published model of upstream, such as general_2d; links up to 128 pixels.",
    )
    @click.option(
        "--model-custom",
        type=PATH,
        help="A model folder of upstream, or an .onnx file; links up to 128 pixels.",
    )
    @click.option("--batch-size", type=int, hidden=True)  # windows are scored one by one
    @click.option("--n-workers", type=int, hidden=True)  # features need no other processes
    @wraps(command)
    def translated(
        model: str,
        max_distance: Any,
        device: str,
        model_pretrained: str | None,
        model_custom: Path | None,
        batch_size: int | None,
        n_workers: int | None,
        **options: Any,
    ) -> None:
        of_upstream = _model_of_upstream(model_pretrained, model_custom)
        if of_upstream is not None:
            model = str(of_upstream)
            max_distance = MAX_DISTANCE_PX if max_distance is None else max_distance
        if device == "mps":
            click.echo("the device mps is not supported; the CPU is used", err=True)
        if device == "cuda" and _answers_as_upstream():
            device = _cuda_or_cpu()
        known = {"automatic": "auto", "mps": "cpu"}
        device = known.get(device, device)
        command(model=model, max_distance=max_distance, device=device, **options)

    return translated


def _answers_as_upstream() -> bool:
    return click.get_current_context().find_object(AsUpstream) is not None


def _cuda_or_cpu() -> str:
    """Return the device for a call that asks for CUDA; print a line if CUDA is missing.

    If CUDA is installed but cannot be started, the device auto reports it.
    """
    from trackastra_engine.model.onnx_model import cuda_advice, has_cuda

    if has_cuda():
        return "auto"
    click.echo(f"CUDA is not available, so the CPU is used: {cuda_advice()}", err=True)
    return "cpu"


def _model_of_upstream(name: str | None, folder: Path | None) -> Path | None:
    """Return the .onnx file of --model-pretrained or --model-custom; None without both."""
    has_model = click.get_current_context().get_parameter_source("model")
    given = {
        "--model": has_model is ParameterSource.COMMANDLINE,
        "--model-pretrained": name is not None,
        "--model-custom": folder is not None,
    }
    flags = [flag for flag, is_given in given.items() if is_given]
    if len(flags) > 1:
        raise InputError(f"{' and '.join(flags)} each give a model; give one of them")
    if name is None and folder is None:
        return None
    from trackastra_engine.model.upstream import import_once, pretrained_folder

    if folder is None:
        folder = pretrained_folder(str(name))
    return import_once(folder)
