"""Run a benchmark: `python -m benchmarks NAME`; each writes a file in benchmarks/results."""

import click

from benchmarks.accuracy import accuracy
from benchmarks.adaptation import adaptation
from benchmarks.calibration import calibration
from benchmarks.cellmap import cellmap
from benchmarks.clutter import clutter
from benchmarks.colonies import colonies
from benchmarks.cores import cores, throughput
from benchmarks.corrections import corrections_benchmark
from benchmarks.default_model import default_model
from benchmarks.delay import delay
from benchmarks.depths import depths_benchmark
from benchmarks.errors import errors
from benchmarks.false_divisions import false_divisions
from benchmarks.follicles import follicles
from benchmarks.formats import formats
from benchmarks.gaps import gaps
from benchmarks.gpu import gpu_benchmark
from benchmarks.intensities import intensities_benchmark
from benchmarks.large import large
from benchmarks.latency import latency
from benchmarks.layers import layers_benchmark
from benchmarks.length import length
from benchmarks.linking import linking
from benchmarks.mcf10a import mcf10a
from benchmarks.microcolonies import microcolonies
from benchmarks.models import models
from benchmarks.motion import motion
from benchmarks.motion_constants import motion_constants
from benchmarks.myoblasts import myoblasts
from benchmarks.noise import noise
from benchmarks.rates import rates
from benchmarks.reach import reach
from benchmarks.scaling import scaling
from benchmarks.small_fields import small_fields
from benchmarks.soak import soak
from benchmarks.sources import sources
from benchmarks.sparse1 import sparse1
from benchmarks.stages import stages
from benchmarks.startup import startup
from benchmarks.strides import strides
from benchmarks.tables import tables
from benchmarks.transformer import transformer
from benchmarks.turns import turns
from benchmarks.voxels import voxels
from benchmarks.wandering import wandering
from benchmarks.whole import whole
from benchmarks.yeast import yeast


@click.group()
def main() -> None:
    """Answer questions about accuracy and speed, one command each."""


for benchmark in (
    *(scaling, accuracy, small_fields, errors, calibration, models, motion, motion_constants),
    *(rates, false_divisions, gaps, delay, linking, corrections_benchmark, adaptation, strides),
    *(stages, transformer, whole, default_model, length, large, startup, latency, soak, cores),
    *(throughput, gpu_benchmark, formats, noise, clutter, wandering, sources, reach, mcf10a),
    *(layers_benchmark, voxels, depths_benchmark, microcolonies, follicles, yeast, colonies),
    *(myoblasts, cellmap, turns, sparse1, intensities_benchmark, tables),
):
    main.add_command(benchmark)

if __name__ == "__main__":
    main()
