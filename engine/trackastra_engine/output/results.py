"""Write all results of a tracking to disk, or none."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from threading import Event

from trackastra_engine.errors import InputError, MissingDependencyError
from trackastra_engine.files.atomic import (
    check_output_file,
    check_output_folder,
    new_file,
    new_folder,
)
from trackastra_engine.files.replace import PRIVATE, is_half_filled, refilled_folder
from trackastra_engine.linking.correction_table import write_corrections
from trackastra_engine.output.ctc import UPSTREAM, write_ctc
from trackastra_engine.output.edge_table import COLUMNS, write_edge_table
from trackastra_engine.output.formats import (
    CORRECTIONS,
    DEFAULT_FORMATS,
    EDGE_TABLE,
    FORMATS,
    OME_ZARR,
    REPORT,
    RESULT_NAMES,
    Results,
)
from trackastra_engine.output.report import write_report
from trackastra_engine.prefetch import computed_side_by_side
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.resources import usable_threads


@dataclass(frozen=True, slots=True)
class Outputs:
    """The places of results; None for results that are not wanted."""

    folder: Path | None = None  # for the report and the files of the formats
    ctc: Path | None = None  # folder in which masks and tracks have upstream's names
    edge_table: Path | None = None
    overwrite: bool = False
    formats: tuple[str, ...] | None = None  # names in FORMATS; None: the default ones
    report: bool = True  # whether report.html is written into the folder

    @property
    def paths(self) -> list[Path]:
        """Return the places that are written."""
        return [path for path in (self.folder, self.ctc, self.edge_table) if path is not None]

    def options_again(self) -> list[str]:
        """Return the options of a command that writes the folder again."""
        formats = [] if self.formats is None else ["--format", ",".join(self.formats)]
        return ["-o", str(self.folder), "--overwrite", *formats]


def parse_formats(texts: Iterable[str]) -> tuple[str, ...] | None:
    """Return the formats in texts such as "ctc,csv", each once, or None if there are none.

    Raises InputError for a name that is not in FORMATS.
    """
    names = [name.strip().lower() for text in texts for name in text.split(",")]
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise InputError(f"there is no format {unknown[0]!r}; choose one of {', '.join(FORMATS)}")
    if {"ome-zarr", "ome-zarr-0.4"} <= set(names):
        raise InputError(f"ome-zarr and ome-zarr-0.4 both write {OME_ZARR}; choose one of them")
    companions = [also for name in names if (also := FORMATS[name].also)]
    return tuple(dict.fromkeys([*names, *companions])) or None


def check_outputs(outputs: Outputs, inputs: Iterable[Path], *, no_masks: str = "") -> None:
    """Raise InputError if results cannot be written, or would replace their inputs.

    no_masks: the reason, for messages, if there are no masks to write.

    Raises MissingDependencyError if a format needs a package that is not installed.
    """
    if not outputs.paths:
        raise InputError("there is no output; give --output, --output-ctc or --output-edge-table")
    if outputs.formats is not None and outputs.folder is None:
        raise InputError("--format chooses the files in --output; give --output, too")
    if no_masks:
        _reject_masks(outputs, no_masks)
    for name in outputs.formats or ():
        package = FORMATS[name].package
        if package is not None and find_spec(package) is None:
            raise MissingDependencyError(
                f"the format {name} needs a package; install trackastra-engine[{package}]"
            )
    if outputs.folder is not None:
        overwrite = outputs.overwrite or is_half_filled(outputs.folder)
        check_output_folder(outputs.folder, overwrite=overwrite, ours=RESULT_NAMES, kept=PRIVATE)
        for form in FORMATS.values():
            nested = outputs.folder / form.names[0]
            if form.entries and nested.is_dir():
                check_output_folder(nested, overwrite=overwrite, ours=form.entries)
    if outputs.ctc is not None:
        if (outputs.ctc / UPSTREAM.table).exists():
            raise InputError(
                f"the output folder {outputs.ctc} contains {UPSTREAM.table}, which may be a ground "
                "truth and is never replaced; choose another folder or remove it"
            )
        check_output_folder(outputs.ctc, overwrite=outputs.overwrite, ours=())
    if outputs.edge_table is not None:
        check_output_file(outputs.edge_table, overwrite=outputs.overwrite, first_line=COLUMNS)
    _reject_overlap(outputs, list(inputs))


def write_outputs(
    results: Results,
    outputs: Outputs,
    *,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write results to all places of `outputs`, which appear together when all are complete.

    threads: number of threads that write, by default one per usable core.
    """
    lineage, movie = results.lineage, results.movie
    threads = usable_threads() if threads is None else threads
    with ExitStack() as places:
        # The first context is renamed last: readers use the edge table as the sign of success.
        if outputs.edge_table is not None:
            write_edge_table(lineage, places.enter_context(new_file(outputs.edge_table)))
        if outputs.folder is not None:
            refilled = refilled_folder(outputs.folder, ours=RESULT_NAMES, last=EDGE_TABLE)
            folder = places.enter_context(refilled)
            _write_together(_jobs(results, outputs, folder, threads), threads, progress)
            if results.corrections is not None:
                write_corrections(results.corrections, folder / CORRECTIONS)
        if outputs.ctc is not None and movie is not None:
            folder = places.enter_context(new_folder(outputs.ctc))
            write_ctc(lineage, movie, folder, names=UPSTREAM, threads=threads, progress=progress)


def _jobs(
    results: Results, outputs: Outputs, folder: Path, threads: int
) -> list[Callable[[Progress], None]]:
    """Return the functions that write the folder of results, the longest chains of work first.

    The report ends with work that only one core can do, as tables are; masks use all cores.
    """

    def of_format(name: str) -> Callable[[Progress], None]:
        return lambda progress: FORMATS[name].write(results, folder, threads, progress)

    def report(progress: Progress) -> None:
        write_report(
            results.lineage,
            results.movie,
            results.doubtful or (),
            results.facts,
            folder / REPORT,
            calibration=results.calibration,
            threads=threads,
            corrections=results.corrections,
            progress=progress,
        )

    names = [
        name
        for name in outputs.formats or DEFAULT_FORMATS
        if results.movie is not None or not FORMATS[name].needs_masks
    ]
    results = replace(results, has_labels=any(OME_ZARR in FORMATS[name].names for name in names))
    names.sort(key=lambda name: FORMATS[name].needs_masks)
    return [*([report] if outputs.report else []), *map(of_format, names)]


def _write_together(
    jobs: Iterable[Callable[[Progress], None]], threads: int, progress: Progress
) -> None:
    """Run jobs in parallel: some compress pixels while others format numbers.

    If one fails, or the program is interrupted, the others end with their next frame.
    """
    is_over = Event()

    def report(stage: str, done: int, total: int) -> None:
        if is_over.is_set():
            raise CancelledError
        progress(stage, done, total)

    with computed_side_by_side(lambda job: job(report), jobs, threads) as done:
        try:
            deque(done, maxlen=0)
        finally:
            is_over.set()


def _reject_masks(outputs: Outputs, reason: str) -> None:
    """Raise InputError if masks are wanted."""
    masks = [f"--format {name}" for name in outputs.formats or () if FORMATS[name].needs_masks]
    masks += ["--output-ctc"] * (outputs.ctc is not None)
    if masks:
        raise InputError(f"{masks[0]} needs masks, {reason}")


def reject_inside(path: Path, outputs: Iterable[Path]) -> None:
    """Raise InputError if a path is inside one of some outputs, other than their private files."""
    resolved = path.resolve()
    for place in outputs:
        private = place.resolve() / PRIVATE
        if resolved.is_relative_to(place.resolve()) and not resolved.is_relative_to(private):
            raise InputError(f"{path} is inside the output {place}; choose separate places")


def _reject_overlap(outputs: Outputs, inputs: list[Path]) -> None:
    resolved = [path.resolve() for path in outputs.paths]
    for place in resolved:
        for given in inputs:
            if given.resolve().is_relative_to(place):
                raise InputError(
                    f"the output {place} would replace the input {given}; choose another output"
                )
    for at, path in enumerate(outputs.paths):
        reject_inside(path, [*outputs.paths[:at], *outputs.paths[at + 1 :]])
