"""How do time and memory grow, and can scores be trusted? Pictures for the README."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.record import RESULTS, read_result

# Each colour is visible on white and on nearly black pages.
GREY, ENGINE, UPSTREAM = "#7a7a7a", "#2f81f7", "#d9730d"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "trackastra-engine",  # the same picture from the same result
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
}
Points = Sequence[tuple[float, float]]  # x, y


def draw_transformer(result: dict[str, Any], path: Path) -> None:
    """Draw time and memory of a window over its tokens."""
    windows = result["windows"]

    def points(side: str, quantity: str) -> Points:
        return [(w["tokens"], w[side][quantity]) for w in windows if side in w]

    with rc_context(STYLE):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        time, memory = cast("Sequence[Axes]", figure.subplots(1, 2))
        for axes, quantity, title in (
            (time, "cpu_s", "CPU seconds for one window"),
            (memory, "peak_mb", "peak memory, MB"),
        ):
            _line(axes, points("engine", quantity), ENGINE, "engine")
            _line(axes, points("upstream", quantity), UPSTREAM, "upstream")
            _label(axes, title, "tokens of the window")
        _save(figure, path)


def draw_calibration(result: dict[str, Any], path: Path) -> None:
    """Draw a reliability diagram: the share of right edges over their score."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1)
        for name, curve in result["curves"].items():
            error = curve["expected_calibration_error"]
            points = list(zip(curve["score"], curve["share_right"], strict=True))
            colour = ENGINE if name.startswith("real") else UPSTREAM
            style = "o:" if "errors" in name else "o-"
            _line(axes, points, colour, f"{name}: expected error {error:.3f}", style)
        axes.set(xlabel="score of an edge", ylabel="share of such edges that is right")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
        _save(figure, path)


PLOTS = {
    "calibration": draw_calibration,
    "transformer": draw_transformer,
}


def draw_all() -> None:
    """Draw all plots next to the results."""
    for name, draw in PLOTS.items():
        if (RESULTS / f"{name}.json").exists():
            draw(read_result(name), RESULTS / f"{name}.svg")


def _line(axes: Axes, points: Points, colour: str, name: str, style: str = "o-") -> None:
    if points:
        axes.plot(*zip(*points, strict=True), style, color=colour, label=name, markersize=4)


def _label(axes: Axes, title: str, x_label: str) -> None:
    axes.set(xscale="log", yscale="log", title=title, xlabel=x_label)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.legend()


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
