"""Pictures of wrong links: the cells of two frames, the true link and the one that was made."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from benchmarks.plots import ENGINE, GREY, STYLE, UPSTREAM
from benchmarks.true_movies import TrueMovie

ROWS, COLUMNS = 2, 4
HALF_WIDTH = 2.5  # of a panel, in spacings
HALF_DEPTH = 1.0  # 3D: of the cells shown, in spacings


@dataclass(frozen=True, slots=True, eq=False)
class WrongParents:
    """The parents (N,) of detections, rows or -1, in the truth and in the result."""

    truth: NDArray[np.int64]
    found: NDArray[np.int64]
    score: NDArray[np.float64]  # (N,) the best of the edges to each

    def examples(self, n: int) -> list[int]:
        """Return up to `n` detections: half are linked wrongly, the others not at all.

        Wrong links have the highest scores, missed ones the lowest.
        """
        order = np.argsort(-self.score, kind="stable")
        is_wrong = (self.found >= 0) & (self.found != self.truth)
        is_missed = (self.found < 0) & (self.truth >= 0)
        wrong, missed = order[is_wrong[order]], order[is_missed[order]][::-1]
        n_missed = min(len(missed), max(n // 2, n - len(wrong)))
        return [*wrong[: n - n_missed].tolist(), *missed[:n_missed].tolist()]


def draw_errors(movie: TrueMovie, wrong: WrongParents, spacing: float, path: Path) -> None:
    """Draw some errors of a movie; spacing: of its cells, in pixels of y and x."""
    chosen = wrong.examples(ROWS * COLUMNS)
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(2.6 * COLUMNS, 2.75 * ROWS), layout="constrained")
        panels = cast("NDArray[np.object_]", figure.subplots(ROWS, COLUMNS)).ravel().tolist()
        for panel, target in zip(panels, chosen, strict=False):
            _draw_error(panel, movie, wrong, target, spacing)
        for panel in panels[len(chosen) :]:
            panel.set_axis_off()
        figure.savefig(path, dpi=80, facecolor="white", metadata={"Software": None})


def _draw_error(
    axes: Axes, movie: TrueMovie, wrong: WrongParents, target: int, spacing: float
) -> None:
    detections = movie.in_proportion()
    place, frame = detections.centroid, detections.frame
    centre, half = place[target], np.full(detections.ndim, HALF_WIDTH * spacing)
    half[:-2] = HALF_DEPTH * spacing
    for time, style in ((frame[target] - 1, ":"), (frame[target], "-")):
        near = np.flatnonzero(frame == time)
        near = near[(np.abs(place[near] - centre) < 1.3 * half).all(axis=1)]
        for row in near.tolist():
            y, x = place[row, -2:]
            radius = detections.features[row, 0] / 2
            shape = {"fill": False, "color": GREY, "linestyle": style, "linewidth": 0.8}
            axes.add_patch(Circle((x, y), radius, **shape))
    for parent, colour in ((wrong.truth[target], ENGINE), (wrong.found[target], UPSTREAM)):
        if parent >= 0:
            arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.6}
            drawn = axes.annotate("", centre[:-3:-1], place[parent, :-3:-1], arrowprops=arrow)
            drawn.arrow_patch.set_clip_box(axes.bbox)  # else it crosses other panes
    y, x = centre[-2:]
    axes.set(xlim=(x - HALF_WIDTH * spacing, x + HALF_WIDTH * spacing), xticks=[], yticks=[])
    axes.set(ylim=(y + HALF_WIDTH * spacing, y - HALF_WIDTH * spacing), aspect="equal")
    said = "" if wrong.truth[target] >= 0 else ", begins in the truth"
    said = said if wrong.found[target] >= 0 else ", not linked"
    axes.set_title(f"frame {frame[target]}, best {wrong.score[target]:.2f}{said}", fontsize=8)
