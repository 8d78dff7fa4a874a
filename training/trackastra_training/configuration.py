"""All options of a training run, as one TOML file."""

from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Literal

from trackastra_engine.errors import InputError
from trackastra_training.options import option, read_options, to_toml

CONFIGURATION_FILE = "training.toml"  # next to the checkpoint
# At this score, fewer than one link in a hundred is wrong (benchmarks/results/calibration.json).
SURE_SCORE = 0.9
LARGEST_SEED = 2**32 - 1  # with the number of a step, it must fit into the 64 bits of torch's seeds

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class AnnotatedMovie:
    """A movie with its truth, and the part of it to use.

    The truth is a folder in the form of the Cell Tracking Challenge (man_track*.tif and
    man_track.txt, or both in TRA/), or a table of edges whose cells are a table of points. Relative
    paths start at the data root, by default the folder of the TOML file.
    """

    truth: Path  # such a folder, a .csv file of edges, or a folder with edges.csv
    masks: Path | None = None  # a segmentation to learn on; None: the masks of the truth
    images: Path | None = None
    frames: tuple[int, int] | None = None  # first and last, counted from 0; None: all
    match_distance: float | None = None  # δ_max of eq. (1) in pixels; None: a typical diameter
    points: Path | None = None  # of a table of edges; None: points.csv in the same folder
    # Of 3D masks, a voxel in micrometres along z, y and x; None: as in the files.
    voxel: tuple[float, float, float] | None = None

    @classmethod
    def parse(cls, text: str) -> "AnnotatedMovie":
        """Return the movie that `FOLDER` or `FOLDER:FIRST-LAST` names."""
        folder, colon, frames = text.rpartition(":")
        first, dash, last = frames.partition("-")
        if colon and dash and first.isdecimal() and last.isdecimal():
            return cls(Path(folder), frames=(int(first), int(last)))
        return cls(Path(text))

    def located(self, root: Path) -> "AnnotatedMovie":
        """Return the movie with its paths relative to a folder."""
        return replace(
            self,
            truth=root / self.truth,
            masks=None if self.masks is None else root / self.masks,
            images=None if self.images is None else root / self.images,
            points=None if self.points is None else root / self.points,
        )

    def __str__(self) -> str:
        """Return the name for messages."""
        return str(self.truth) + (f":{self.frames[0]}-{self.frames[1]}" if self.frames else "")


@dataclass(frozen=True, slots=True)
class CorrectedResult:
    """Results of `trackastra-engine track` that a person corrected, to learn from.

    Relative paths are taken from the data root, as those of an AnnotatedMovie.
    """

    folder: Path  # an output folder
    corrections: tuple[Path, ...] = ()  # tables; none: corrections.csv of the folder
    sure_score: float = option(
        SURE_SCORE, "undecided links need this score to be learned", low=0, high=1
    )

    def located(self, root: Path) -> "CorrectedResult":
        """Return the results with their paths taken from a folder."""
        tables = tuple(root / path for path in self.corrections)
        return replace(self, folder=root / self.folder, corrections=tables)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The network; fine-tuning keeps the shape of its start, and the reach if none is chosen."""

    name: str = option("my_model", "name of the model")
    description: str = option("", "one line for people: the training data")
    ndim: int = option(2, "spatial axes: 2 for (y, x), 3 for (z, y, x)", low=2, high=3)
    window: int = option(4, "frames scored together", low=2)
    d_model: int = option(128, "width, a multiple of twice the heads", low=2)
    n_layers: int = option(3, "of the encoder, and of the decoder", low=1)
    n_heads: int = option(4, "of every attention layer", low=1)
    pair_width: int = option(
        16, "numbers that weigh the shapes of a pair of detections; 0: none", low=0
    )
    reach: float = option(
        0.0, "of attention and links, in typical spacings; 0: as usual, or as before", low=0
    )
    dropout: float = option(0.0, "share of the attention that is left out", low=0, high=0.9)


@dataclass(frozen=True, slots=True)
class DataOptions:
    """The form of the examples and batches."""

    real_share: float = option(0.25, "share of examples from [[train]] movies", low=0, high=1)
    max_tokens: int = option(256, "detections in an example; larger ones are cut", low=8)
    batch_tokens: int = option(800, "detections in a batch, padding included", low=8)
    n_workers: int = option(1, "processes that make the data; 0: the training process", low=0)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strong the random changes are; 0 means no change.

    They apply to the whole window first, then to each frame, then to each detection. A probability
    is per window; every window draws its own share, from 0 up to the largest.
    """

    stretch: float = option(0.15, "deviation of the logarithm of the scale of an axis", low=0)
    shear: float = option(0.1, "deviation of the shear", low=0)
    scale: float = option(
        0.1, "deviation of the logarithm of the spacing that the model sees", low=0
    )
    offset: float = option(1000.0, "largest translation of `upstream` tokens, in pixels", low=0)
    brightness: float = option(
        0.2, "deviation of the logarithm of all intensities, and of a shift", low=0
    )
    no_intensity: float = option(0.15, "probability that there are no intensities", low=0, high=1)
    invented_intensities: float = option(
        0.5, "probability that a [[train]] window without images gets intensities", low=0, high=1
    )
    invented_shapes: float = option(
        0.5, "probability that a window of discs or balls only gets other shapes", low=0, high=1
    )
    skipped_frames: float = option(
        0.25, "probability that only every 2nd to 4th frame is seen ([[train]])", low=0, high=1
    )
    skipped_simulated: float = option(0.1, "the same, per simulated movie", low=0, high=1)
    small_fields: float = option(
        0.2, "probability that only a small field of view with few cells is seen", low=0, high=1
    )
    sparse: float = option(
        0.15, "probability that only some lineages are seen, in larger fields", low=0, high=1
    )
    overlaid: float = option(
        0.5, "probability that others lie upon a 2D window without sizes", low=0, high=1
    )
    unaligned: float = option(
        0.15, "probability that frames are not carried along the flow of the cells", low=0, high=1
    )
    estimated_flow: float = option(
        0.3, "probability that this flow is estimated as in tracking, not known", low=0, high=1
    )
    equal_sizes: float = option(
        0.1, "probability that all detections are markers of one size", low=0, high=1
    )
    scaled_sizes: float = option(
        0.3, "probability that all sizes, except of markers, change by one factor", low=0, high=1
    )
    round_shapes: float = option(
        0.1, "probability that sizes are known, but not shapes, except for markers", low=0, high=1
    )
    size_noise: float = option(0.4, "largest deviation of the logarithm of the sizes", low=0)
    shape_noise: float = option(
        0.25, "largest deviation of shapes, and thereby sizes, as a strain", low=0
    )
    protrusions: float = option(
        0.5,
        "shift of a detection along its noise of shape, as a share of strain times diameter",
        low=0,
    )
    frame_shift: float = option(
        0.1, "deviation of a frame's translation, in spacings (of 1.5 diameters at most)", low=0
    )
    frame_turn: float = option(0.03, "deviation of a frame's rotation, in radians", low=0)
    frame_shear: float = option(0.02, "deviation of a frame's shear", low=0)
    warp: float = option(0.1, "largest deviation of waves of strain that bend space", low=0)
    frame_warp: float = option(0.03, "the same, independent in each frame", low=0)
    noise: float = option(
        0.03, "deviation of positions, in spacings (of 1.5 diameters at most)", low=0
    )
    depth_noise: float = option(
        0.3, "largest deviation of positions along z besides, in the same unit", low=0
    )
    coarse_depth: float = option(
        0.2, "probability that depths lie in planes, up to 1.2 spacings apart", low=0, high=1
    )
    intensity_noise: float = option(
        1.5, "largest deviation, in standard deviations of the window", low=0
    )
    missed: float = option(0.05, "largest share of detections that are missed", low=0, high=1)
    merged: float = option(0.04, "largest share of touching pairs seen as one", low=0, high=1)
    split: float = option(0.02, "largest share of detections seen as two", low=0, high=1)
    missed_divisions: float = option(
        0.3, "largest share of mothers and new daughters that are missed as well", low=0, high=1
    )
    lasting_misses: float = option(
        0.8, "largest probability that a missed cell is missed in the next frame", low=0, high=1
    )
    bad_frames: float = option(
        0.1, "probability that up to four fifths of a frame are missed", low=0, high=1
    )
    clutter: float = option(
        0.15, "largest expected share of further objects that are not cells", low=0
    )


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How long, how fast and where to learn."""

    steps: int = option(0, "steps to learn for; 0: as many as fit into the minutes", low=0)
    minutes: float = option(25.0, "time to learn for, where steps is 0", low=0)
    teacher: str = option("", "model whose scores are learned too; a name, file or folder")
    seed: int = option(0, "same seed and steps: same weights (on a CPU)", low=0, high=LARGEST_SEED)
    learning_rate: float = option(8e-4, "at its highest; 1e-4 suits fine-tuning", low=0)
    warmup_steps: int = option(
        150, "steps in which the rate rises; then it falls as a cosine", low=1
    )
    weight_decay: float = option(0.01, "of AdamW", low=0)
    max_gradient: float = option(1.0, "norm at which gradients are clipped", low=0)
    device: Literal["auto", "cpu", "cuda"] = option("auto", "auto, cpu or cuda")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto", "of the network: auto, float32, bfloat16 or float16"
    )
    threads: int = option(1, "cores to compute on; all of them should be free", low=1)
    minutes_between_checks: float = option(4.0, "a check validates, and saves the run", low=0)
    validation_movies: int = option(16, "simulated movies to validate on by tracking", low=0)
    tensorboard: bool = option(True, "write scalars for TensorBoard")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole run."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    train: tuple[AnnotatedMovie, ...] = ()  # besides simulated movies
    corrected: tuple[CorrectedResult, ...] = ()  # to learn from as well
    validate: tuple[AnnotatedMovie, ...] = ()  # only to be measured on


MOVIE_EXAMPLES = """
# Annotated movies to learn from, one [[train]] table each. Paths start at the folder of this file,
# or at --data-root. Without masks, those of the truth are used.
#
# [[train]]
# truth = "movie1_GT"      # contains man_track*.tif and man_track.txt, or both in TRA/
# masks = "movie1_SEG"     # optional: a segmentation with its errors, matched to the truth
# images = "movie1"        # optional
# frames = [0, 59]         # optional: first and last, counted from 0
# match_distance = 10.0    # optional: longest from a mask to its cell, in pixels
# voxel = [2.0, 0.5, 0.5]  # optional, 3D: micrometres along z, y, x, if not in the files
#
# A movie may be two tables instead: points.csv (frame,label,[z,]y,x,diameter, in pixels of true
# proportion; a diameter of 0 is unknown) and edges.csv (source_frame,source_label,target_frame,
# target_label):
#
# [[train]]
# truth = "embryo1"        # contains edges.csv and points.csv; or "lineage.csv", with:
# points = "cells.csv"     # optional
#
# Results that a person corrected, see "finetune":
#
# [[corrected]]
# folder = "cells"         # an output folder of trackastra-engine track
# corrections = ["a.csv"]  # optional: instead of corrections.csv in that folder
# sure_score = 0.9         # optional: undecided links with a lower score are not learned
#
# Annotated movies that are only measured on:
#
# [[validate]]
# truth = "movie2_GT"
"""


def read_configuration(path: Path) -> Configuration:
    """Return the configuration of a TOML file. Raises InputError if something in it is wrong."""
    configuration = read_options(Configuration, Path(path))
    if not configuration.training.steps and not configuration.training.minutes:
        raise InputError(f"{path}: one of 'training.steps' and 'training.minutes' must not be 0")
    if configuration.data.real_share == 1 and not configuration.train + configuration.corrected:
        raise InputError(f"{path}: 'data.real_share' of 1 needs a [[train]] or [[corrected]] table")
    for movie in (*configuration.train, *configuration.validate):
        if movie.frames and not 0 <= movie.frames[0] < movie.frames[1]:
            raise InputError(f"{path}: frames of {movie.truth} must be [first, last], two or more")
        if movie.match_distance is not None and not 0 < movie.match_distance < inf:
            raise InputError(f"{path}: match_distance of {movie.truth} must be a positive number")
    return configuration


def write_configuration(configuration: Configuration, path: Path, heading: str = "") -> None:
    """Write the configuration as a commented TOML file."""
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    path.write_text(comment + to_toml(configuration), "utf-8")
