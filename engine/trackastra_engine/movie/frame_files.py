"""Find the files of a folder that are the frames of a movie, by the numbers in their names."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine.errors import InputError, option
from trackastra_engine.movie.frame_names import Series, find_series
from trackastra_engine.movie.name_numbers import SECONDS, Number, may_pass_midnight
from trackastra_engine.movie.name_pattern import matched, of_pattern
from trackastra_engine.movie.pictures import CELLPOSE_ARCHIVE, JPEG2000, PNG
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

# Kinds of files, in the order of preference.
FAMILIES = ((".tif", ".tiff"), PNG, JPEG2000, (".npy",))
SUFFIXES = tuple(suffix for family in FAMILIES for suffix in family)
TIMEPOINT = re.compile(r"time_?point_?\d+", re.IGNORECASE)  # folders of ImageXpress
THUMBNAIL = re.compile(r"_thumb(?![a-z])", re.IGNORECASE)  # previews of ImageXpress
# Files that Cellpose writes next to the images: masks, and others.
CELLPOSE_MASKS = "_cp_masks"
CELLPOSE_OTHERS = ("_cp_output", "_cp_outlines", "_cp_flows", "_flows", "_flow")
MASK_WORDS = re.compile(r"mask|label|segm|(?<![a-z])seg(?![a-z])|objects", re.IGNORECASE)
PLANE_WORDS = {"z", "slice", "plane"}
PLANE = re.compile(r"(?<![a-z])(?:z|slice|plane)[_=-]?\d", re.IGNORECASE)  # in the name of a series
PATTERNS = {"images": "pattern", "masks": "mask_pattern"}  # options; other kinds have none
N_SHOWN = 4  # names that a message lists


@dataclass(frozen=True, slots=True, eq=False)
class FrameFiles:
    """The T files of a movie, in the order of the frames."""

    folder: Path
    files: list[Path]
    numbers: tuple[Number, ...]  # (T,) of the frames; empty without numbers in the names
    gaps: list[tuple[str, str, int]]  # two files, and the number of frames missing between them
    kind: str = "number"  # format of the numbers, as in Series: number, or a time

    def missing(self) -> str:
        """Return a phrase that names the first missing frames; empty if there are none."""
        if not self.gaps:
            return ""
        before, after, n_missing = self.gaps[0]
        more = sum(gap[2] for gap in self.gaps) - n_missing
        first = "a frame is" if n_missing == 1 else f"{n_missing} frames are"
        return f"{first} missing between {before} and {after}" + (f", and {more} more" * bool(more))


def frame_files(folder: Path, kind: str, pattern: str | None = None) -> FrameFiles:
    """Return the files of a folder that make one movie, sorted by frame.

    kind: images or masks, for messages, and to separate them if a folder contains both; pattern: a
    glob of names, or a regular expression with a group named `frame`.

    Raises InputError for no files, several series, two files of one frame, or broken links.
    """
    if (place := _of_challenge(folder, kind)) != folder:
        logger.log(NOTICE, "%s are read from %s", kind, place)
        folder = place
    files = _files(folder, kind, pattern)
    if pattern is not None and "(?P<frame>" in pattern:
        series = [matched(files, folder, pattern)]
    else:
        series = find_series([_stem(path, folder) for path in files])
        if len(series) > 1 and pattern is None:
            series = _of_kind(series, folder, kind)
    suffix = files[0].suffix
    if len(series) > 1:
        raise InputError(_about_series(series, folder, kind, suffix))
    found = series[0]
    path_of = {_stem(path, folder): path for path in files}
    if len(path_of) < len(files):
        twice = [path.name for path in files if path_of[_stem(path, folder)] != path]
        raise InputError(f"{folder} contains {twice[0]} and another file of that name; remove one")
    _reject_unclear(found, folder, kind, suffix)
    _report(found, folder, suffix)
    paths = [path_of[name] for name in found.files]
    return FrameFiles(folder, paths, found.numbers, found.gaps(), found.kind)


def _reject_unclear(found: Series, folder: Path, kind: str, suffix: str) -> None:
    """Raise InputError if two files are of one frame, or times of day may pass midnight."""
    if (doubled := found.doubled()) is not None:
        raise InputError(
            f"{folder} contains two files of one frame, {doubled[0]}{suffix} and "
            f"{doubled[1]}{suffix}; {_either('remove one', _choose('files', kind))}"
        )
    if found.kind == "clock" and may_pass_midnight(found.numbers):
        raise InputError(
            f"{folder} contains the times of day {_listed(found.files)}, which may pass midnight; "
            "add dates to the names, such as 2024-01-31_21-00-00"
        )


def _report(found: Series, folder: Path, suffix: str) -> None:
    """Log which files are the frames where their names leave a doubt."""
    if (
        found.kind == "elapsed"
        and max(found.numbers) < SECONDS["d"]
        and may_pass_midnight(found.numbers)
    ):
        logger.warning(
            "frames of %s are read in the order %s; if these are times of day that pass midnight, "
            "add dates to the names, such as 2024-01-31_21-00-00",
            *(folder, _listed(found.files)),
        )
    if not found.numbers and len(found.files) > 1:
        logger.warning(
            "names in %s have no common number of the frame; read in the order %s",
            folder,
            _listed([name + suffix for name in found.files]),
        )
    elif found.word in PLANE_WORDS:
        logger.warning(
            "frames of %s are the files %s%s; if these are planes of one volume, save each volume "
            "as one file",
            *(folder, found.pattern, suffix),
        )
    elif found.kind != "number" or found.pattern.count("*") > 1:
        logger.log(NOTICE, "frames of %s are the files %s%s", folder, found.pattern, suffix)


def masks_of_challenge(folder: Path) -> Path | None:
    """Return the folder of the masks in one such as 01_ST or 01_GT of the challenge, or None."""
    names = ("TRA", "SEG") if folder.name.endswith("_GT") else ("SEG", "TRA")
    return next((folder / name for name in names if _has_files(folder / name)), None)


def _of_challenge(folder: Path, kind: str) -> Path:
    """Return the folder of images or masks in a folder of the challenge; others as they are."""
    if _listed_files(folder):
        return folder
    if kind == "masks" and (place := masks_of_challenge(folder)) is not None:
        return place
    movies = [path for path in sorted(folder.iterdir()) if re.fullmatch(r"\d\d", path.name)]
    if not any(map(_has_files, movies)):
        return folder
    if len(movies) > 1:
        raise InputError(
            f"{folder} contains the movies {_listed([path.name for path in movies])}; give one of "
            f"them, such as {movies[0]} for images and {movies[0]}_ST or {movies[0]}_GT for masks"
        )
    if kind != "masks":
        return movies[0]
    companions = (folder / f"{movies[0].name}_{name}" for name in ("ST", "GT", "ERR_SEG"))
    found = [path for path in companions if path.is_dir()]
    return (masks_of_challenge(found[0]) or found[0]) if found else folder


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and bool(_listed_files(folder))


def _stem(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder).with_suffix(""))


def _files(folder: Path, kind: str, pattern: str | None) -> list[Path]:
    """Return the files that may be frames, in any order.

    Hidden files are left out: macOS writes `._t001.tif` next to `t001.tif` on foreign disks.
    """
    found = _listed_files(folder)
    if not found:
        below = sorted(filter(Path.is_dir, folder.iterdir()))
        found = [
            path
            for place in below
            if TIMEPOINT.fullmatch(place.name)
            for path in _listed_files(place)
            if not THUMBNAIL.search(path.name)
        ]
    found = of_pattern(found, folder, pattern) if pattern else _of_cellpose(found, kind)
    for family in FAMILIES:
        if files := [path for path in found if path.suffix.lower() in family]:
            _check_others(found, files, folder, kind)
            break
    else:
        if found := _listed_files(folder):
            raise InputError(
                f"{folder} contains {len(found)} files such as {found[0].name}, but none fits "
                f"{pattern}; correct the pattern"
                if pattern
                else f"{folder} contains no {kind}; give a folder with {kind}"
            )
        raise InputError(
            f"the folder of the {kind}, {folder}, contains no frame (TIFF, PNG, JPEG-2000 or "
            f".npy){_unknown(folder)}; give a folder with one TIFF per frame, or one TIFF "
            f"stack{_hint(folder)}"
        )
    for path in files:
        if not path.exists():
            raise InputError(
                f"{path} is a link to a missing file; fetch it (git annex get) or mount the disk "
                "that contains it"
            )
    return files


def _check_others(found: list[Path], files: list[Path], folder: Path, kind: str) -> None:
    """Raise InputError if files of other kinds continue the series of the read files."""
    names = {_stem(path, folder) for path in files}
    others = {_stem(path, folder): path for path in found if _stem(path, folder) not in names}
    for one in find_series({*names, *others}) if others else ():
        added = [others[name] for name in one.files if name in others]
        if added and len(added) < len(one.files):
            remedies = _either("save all frames as one kind of file", _choose("some", kind))
            raise InputError(
                f"{folder} contains {added[0].name} besides {len(files)} files such as "
                f"{files[0].name}; {remedies}"
            )


def _unknown(folder: Path) -> str:
    """Return, for a message, a file in a folder without frames; empty if none."""
    names = (path.name for path in sorted(folder.iterdir()) if path.is_file())
    name = next((name for name in names if not name.startswith(".")), None)
    return "" if name is None else f", but {name}"


def _hint(folder: Path) -> str:
    """Return, for a message, the subfolders with files of frames; empty if none."""
    below = [path.name for path in sorted(folder.iterdir()) if _has_files(path)]
    return f", such as one of the folders in it, {_listed(below)}" if below else ""


def _listed_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and (path.is_file() or (path.is_symlink() and not path.exists()))
    )


def _of_cellpose(files: list[Path], kind: str) -> list[Path]:
    """Return the masks or the images in a folder with files of Cellpose; else all files."""
    masks = [path for path in files if path.stem.endswith(CELLPOSE_MASKS)]
    archives = [path for path in files if path.name.endswith(CELLPOSE_ARCHIVE)]
    if kind == "masks":
        return masks or archives or files
    others = (CELLPOSE_MASKS, *CELLPOSE_OTHERS)
    rest = [path for path in files if not path.stem.endswith(others) and path not in archives]
    return rest or files


def _of_kind(series: list[Series], folder: Path, kind: str) -> list[Series]:
    """Return the only series of this kind by words for masks in its names, or all series."""
    are_masks = [bool(MASK_WORDS.search(Path(one.pattern).name)) for one in series]
    wanted = [
        one for one, is_mask in zip(series, are_masks, strict=True) if is_mask == (kind == "masks")
    ]
    if len(wanted) != 1 or all(are_masks) or not any(are_masks):
        return series
    logger.log(NOTICE, "%s are the files %s of %s", kind, wanted[0].pattern, folder)
    return wanted


def _about_series(series: Sequence[Series], folder: Path, kind: str, suffix: str) -> str:
    """Return the message that lists several series, or a few files with different names."""
    longest = max(series, key=lambda one: len(one.files))
    odd = [name for one in series if one is not longest for name in one.files]
    choose = _choose("one", kind, longest.pattern)
    if len(odd) <= 2 < len(longest.files):
        return (
            f"{folder} contains {_listed([name + suffix for name in odd])}, not named like the "
            f"{len(longest.files)} files {longest.pattern}{suffix}; {_either('remove it', choose)}"
        )
    names = [f"{one.pattern}{suffix} ({_counted(len(one.files))})" for one in series]
    are_planes = all(PLANE.search(one.pattern) for one in series)
    planes = "save the planes of each volume as one file" * are_planes
    remedies = _either(choose or "remove all but one", planes)
    return f"{folder} contains {len(series)} series, {_listed(names)}; {remedies}"


def _counted(n_files: int) -> str:
    return "1 file" if n_files == 1 else f"{n_files} files"


def _choose(files: str, kind: str, pattern: str | None = None) -> str:
    """Return, for a message, how to choose files by an option; empty if the kind has none."""
    if kind not in PATTERNS:
        return ""
    example = "" if pattern is None else f", such as {option(PATTERNS[kind], pattern)}"
    return f"choose {files} with {option(PATTERNS[kind])}{example}"


def _either(*remedies: str) -> str:
    return ", or ".join(filter(None, remedies))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:N_SHOWN]) + (", ..." if len(names) > N_SHOWN else "")
