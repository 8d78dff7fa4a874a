"""The specification of a model, stored as JSON inside the ONNX file."""

import json
from dataclasses import asdict, astuple, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import ModelError

FORMAT_VERSION = 1
METADATA_KEY = "trackastra_engine.model_spec"
PROBABILITIES_KEY = "scores_are_chances"  # in files, of `scores_are_probabilities`

Recipe = Literal["upstream", "relative"]
Normalisation = Literal["movie", "window"]
Averaging = Literal["all", "above_threshold"]


@dataclass(frozen=True, slots=True)
class TrainingRates:
    """Shares of cells in the windows of a training, as estimated from the model's scores.

    The true shares differ: scores follow the loss, which gives divisions more weight.
    """

    no_parent_inside: float
    no_parent_border: float  # of the cells at the border, see linking/rates.py
    second_child_inside: float
    second_child_border: float

    def shares(self) -> NDArray[np.float64]:
        """Return the shares (2, 3) of no parent, first child, and second child of a parent.

        The first row is that of cells inside, the other that of cells at the border.
        """
        none = np.array([self.no_parent_inside, self.no_parent_border])
        second = np.array([self.second_child_inside, self.second_child_border])
        return np.column_stack([none, 1 - none - second, second])


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Weights by which scores are changed after the network, see linking/adaptation.py."""

    score: float  # of the logarithm of an edge's score
    second_child: float  # of edges whose source has a better one
    rival: float  # of the best score of another edge from the source
    distance: float  # in diameters
    growth: float  # logarithm of the ratio of diameters
    size_change: float  # its magnitude
    none: float  # of no parent
    none_score: float  # of the logarithm of the probability of no parent

    def weights(self) -> tuple[float, ...]:
        """Return the weights in this order."""
        return astuple(self)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """All properties of a model that the engine needs besides its graph."""

    name: str
    ndim: int  # spatial axes: 2 for (y, x), 3 for (z, y, x)
    window: int  # frames scored together
    recipe: Recipe  # how detections are converted to tokens, see tokens.py
    normalisation: Normalisation  # intensities: percentiles of the movie, or z-score of the window
    cutoff: float  # reach of attention and association, in the units of the token coordinates
    averaging: Averaging  # which windows count in an edge's mean score, see edge_stream.py
    max_frame_gap: int = 1  # longest link, in frames, that the model was trained for
    scores_are_probabilities: bool = False  # probabilities, for linking/costs.py
    uses_voxel_size: bool = False  # needs positions and shapes in true proportion, see transform.py
    accepts_planes: bool = False  # a 3D model that also tracks 2D movies, as one plane
    training_rates: TrainingRates | None = None  # None: scores are not corrected, linking/rates.py
    adaptation: Adaptation | None = None  # of scores to decisions of a person
    description: str = ""  # one line for people, about its training data
    n_parameters: int = 0  # learned numbers, counted at export
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Return the spec as one JSON object."""
        fields = asdict(self)
        fields[PROBABILITIES_KEY] = fields.pop("scores_are_probabilities")
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """Return the spec that `to_json` wrote.

        Raises ModelError if it was written for another format version or lacks a field.
        """
        fields: dict[str, Any] = json.loads(text)
        version = fields.get("format_version")
        if version != FORMAT_VERSION:
            raise ModelError(
                f"the model has format version {version}, this engine reads version "
                f"{FORMAT_VERSION}; export the model again with the matching version"
            )
        try:
            if PROBABILITIES_KEY in fields:
                fields["scores_are_probabilities"] = fields.pop(PROBABILITIES_KEY)
            if fields.get("training_rates") is not None:
                fields["training_rates"] = TrainingRates(**fields["training_rates"])
            if fields.get("adaptation") is not None:
                fields["adaptation"] = Adaptation(**fields["adaptation"])
            return cls(**fields)
        except TypeError as error:
            raise ModelError(
                f"the model's metadata is incomplete ({error}); export it again"
            ) from None
