"""Annotated folders as known movies, compared with an obvious twin; and errors in them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from trackastra_engine.detection.transform import USUAL_HEIGHT, covariances
from trackastra_engine.errors import InputError
from trackastra_engine.model.spec import ModelSpec
from trackastra_training.cli import main
from trackastra_training.configuration import AnnotatedMovie
from trackastra_training.examples import association_matrix, cut_window
from trackastra_training.ground_truth import read_known_movie, read_known_movies

SPEC = ModelSpec("any", 2, 4, "relative", "window", 128.0, "all")
SIZE, RADIUS = 72, 6


def disc(y, x, radius=RADIUS):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def draw_lineages(rng, n_frames=7):
    """Return true masks (T, Y, X) and tracks: cells that drift, divide, and vanish for a frame."""
    masks = np.zeros((n_frames, SIZE, SIZE), np.uint16)
    tracks, cells = [], []
    for place in ((16, 16), (16, 50), (50, 20), (52, 54)):
        tracks.append([len(tracks) + 1, 0, 0, 0])
        cells.append((len(tracks), np.array(place, float)))
    for frame in range(n_frames):
        going_on = []
        for label, place in cells:
            tracks[label - 1][2] = frame
            masks[frame][disc(*place) & (masks[frame] == 0)] = label
            step = rng.uniform(-2, 2, 2)
            fate = rng.random()
            if frame == n_frames - 1 or not (masks[frame] == label).any():
                continue
            if fate < 0.2:
                arm = np.array([0, 7]) if rng.random() < 0.5 else np.array([7, 0])
                for offset in (arm, -arm):
                    tracks.append([len(tracks) + 1, frame + 1, frame + 1, label])
                    going_on.append((len(tracks), np.clip(place + offset + step, 8, SIZE - 8)))
            elif fate > 0.06 + 0.2:
                going_on.append((label, np.clip(place + step, 8, SIZE - 8)))
        cells = going_on
    return masks, np.array(tracks)


def with_gap(masks, tracks):
    """Cut a frame out of the first long track: the rest is a new track, its child."""
    row = next((r for r, t in enumerate(tracks) if t[2] - t[1] >= 4), None)
    if row is None:
        return masks, tracks
    label, first, last, _ = tracks[row]
    new, gap = tracks[:, 0].max() + 1, first + 2
    masks[gap][masks[gap] == label] = 0
    for frame in range(gap + 1, last + 1):
        masks[frame][masks[frame] == label] = new
    tracks[tracks[:, 3] == label, 3] = new
    tracks[row, 2] = gap - 1
    return masks, np.vstack([tracks, [new, gap + 1, last, label]])


def as_segmented(masks, rng):
    """Return other masks of the cells: moved, missed, merged with a neighbour, or invented."""
    seen = np.zeros_like(masks)
    for frame, mask in enumerate(masks):
        labels = np.unique(mask[mask > 0])
        number = dict(zip(labels, rng.permutation(len(labels)) + 1, strict=True))
        for label in labels:
            fate = rng.random()
            if fate < 0.1:
                continue
            shift = rng.integers(-3, 4, 2)
            if fate < 0.2 and len(labels) > 1:
                number[label] = number[rng.choice(labels)]
            seen[frame][np.roll(mask == label, shift, (0, 1))] = number[label]
        if rng.random() < 0.5:
            seen[frame][disc(*rng.uniform(4, SIZE - 4, 2), radius=3)] = 40
    return seen


def write(folder, masks, tracks=None):
    name = "t{:03}.tif" if tracks is None else "man_track{:03}.tif"
    folder.mkdir(parents=True, exist_ok=True)
    for frame, mask in enumerate(masks):
        tifffile.imwrite(folder / name.format(frame), mask)
    if tracks is not None:
        np.savetxt(folder / "man_track.txt", tracks, fmt="%d")
    return folder


def naive_match(seen, truth, max_distance):
    """Eq. (1): every pair of objects by their pixels, and every way to match them."""
    objects = [
        {int(label): np.argwhere(mask == label) for label in np.unique(mask[mask > 0])}
        for mask in (seen, truth)
    ]
    if max_distance is None:
        diameters = [
            np.median([np.sqrt(4 * len(pixels) / np.pi) for pixels in found.values()] or [0])
            for found in objects
        ]
        max_distance = max(diameters)
    value = {}
    for (a, left), (b, right) in itertools.product(objects[0].items(), objects[1].items()):
        shared = len(set(map(tuple, left)) & set(map(tuple, right)))
        overlap = shared / (len(left) + len(right) - shared)
        near = 1 - np.linalg.norm(left.mean(0) - right.mean(0)) / max_distance
        if max(overlap, near) > 0.5:
            value[a, b] = max(overlap, near)

    def best(labels, taken):
        if not labels:
            return 0.0, {}
        options = [best(labels[1:], taken)]
        for b in objects[1]:
            if (labels[0], b) in value and b not in taken:
                total, pairs = best(labels[1:], taken | {b})
                options.append((total + value[labels[0], b], pairs | {labels[0]: b}))
        return max(options, key=lambda option: option[0])

    return best(list(objects[0]), frozenset())[1]


def naive_truth(seen, masks, tracks, max_distance):
    """Return the detections (frame, label) and which descend from which, on the true graph."""
    parent_of = {}
    for label, first, last, parent in tracks.tolist():
        for frame in range(first + 1, last + 1):
            parent_of[frame, label] = (frame - 1, label)
        if parent:
            end = tracks[tracks[:, 0] == parent][0, 2]
            parent_of[first, label] = (int(end), parent)
    nodes, stands_for = [], []
    for frame, mask in enumerate(seen):
        match = naive_match(mask, masks[frame], max_distance)
        for label in np.unique(mask[mask > 0]).tolist():
            nodes.append((frame, label))
            stands_for.append((frame, match[label]) if label in match else None)

    def ancestors(node):
        while node in parent_of:
            node = parent_of[node]
            yield node

    related = np.zeros((len(nodes), len(nodes)), bool)
    for a, b in itertools.permutations(range(len(nodes)), 2):
        if stands_for[a] and stands_for[b]:
            related[a, b] = stands_for[a] in ancestors(stands_for[b]) or stands_for[b] in ancestors(
                stands_for[a]
            )
    return nodes, related


@pytest.mark.parametrize("seed", range(6))
def test_truth_is_that_of_the_paper(tmp_path, seed):
    rng = np.random.default_rng(seed)
    masks, tracks = with_gap(*draw_lineages(rng))
    seen = as_segmented(masks, rng)
    movie = AnnotatedMovie(
        write(tmp_path / "GT" / "TRA", masks, tracks).parent,
        write(tmp_path / "SEG", seen),
        match_distance=None if seed % 2 else 10.0,
    )
    known = read_known_movie(movie, SPEC)
    nodes, related = naive_truth(seen, masks, tracks, movie.match_distance)
    found = known.detections
    assert list(zip(found.frame.tolist(), found.label.tolist(), strict=True)) == nodes
    np.testing.assert_array_equal(association_matrix(known), related)
    window = cut_window(known, 2, 4)
    inside = np.flatnonzero((found.frame >= 2) & (found.frame < 6))
    np.testing.assert_array_equal(association_matrix(window), related[np.ix_(inside, inside)])
    nobody = ~related.any(1)
    assert (known.parent[nobody] == -1).all()
    assert not known.n_children[nobody].any()


def test_the_drawn_lineages_have_all_cases():
    """Divisions, gaps, misses, mergers and inventions occur in the test above."""
    n_divisions = n_gaps = n_missed = n_invented = n_merged = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        masks, tracks = with_gap(*draw_lineages(rng))
        seen = as_segmented(masks, rng)
        counts = np.unique(tracks[tracks[:, 3] > 0, 3], return_counts=True)[1]
        n_divisions += (counts == 2).sum()
        last = dict(tracks[:, [0, 2]].tolist())
        n_gaps += sum(first > last[p] + 1 for _, first, _, p in tracks.tolist() if p)
        for mask, true in zip(seen, masks, strict=True):
            n_invented += 40 in mask
            n_missed += len(np.unique(true)) > len(np.setdiff1d(mask, [40]))
            n_merged += any(
                len(np.setdiff1d(true[mask == label], [0])) > 1 for label in np.unique(mask)[1:]
            )
    assert min(n_divisions, n_gaps, n_missed, n_invented, n_merged) >= 3


def test_without_masks_those_of_the_truth_are_used(tmp_path):
    masks, tracks = draw_lineages(np.random.default_rng(7))
    folder = write(tmp_path / "GT", masks, tracks)
    alone = read_known_movie(AnnotatedMovie(folder), SPEC)
    same = read_known_movie(AnnotatedMovie(folder, write(tmp_path / "SEG", masks)), SPEC)
    np.testing.assert_array_equal(alone.parent, same.parent)
    np.testing.assert_array_equal(alone.detections.features, same.detections.features)


def test_a_mother_that_was_never_detected_is_bridged(tmp_path):
    """Track 1 ends; its daughter 2, never detected, ends; 3, the daughter of 2, descends from 1."""
    masks = np.zeros((5, SIZE, SIZE), np.uint16)
    for frame, label in enumerate((1, 1, 2, 3, 3)):
        masks[frame][disc(30, 30)] = label
    seen = np.where(masks == 2, 0, masks)
    folder = write(tmp_path / "GT", masks, np.array([[1, 0, 1, 0], [2, 2, 2, 1], [3, 3, 4, 2]]))
    known = read_known_movie(AnnotatedMovie(folder, write(tmp_path / "SEG", seen)), SPEC)
    assert known.parent.tolist() == [-1, 0, 1, 2]


def test_volumes_are_seen_in_true_proportion(tmp_path):
    """Voxels are as in the configuration; without one, cells are as high as wide."""
    masks, tracks = draw_lineages(np.random.default_rng(9))
    stacks = np.stack([masks] * 5, axis=1)
    folder = write(tmp_path / "GT", stacks, tracks)
    spec = replace(SPEC, ndim=3, uses_voxel_size=True)
    movie = AnnotatedMovie(folder)
    known = read_known_movie(replace(movie, voxel=(3.0, 1.0, 1.0)), spec).detections
    cubes = read_known_movie(replace(movie, voxel=(1.0, 1.0, 1.0)), spec).detections
    np.testing.assert_allclose(known.centroid, cubes.centroid * (3, 1, 1))
    np.testing.assert_allclose(known.features[:, 0], cubes.features[:, 0] * 3 ** (1 / 3))
    likely = read_known_movie(movie, spec).detections
    height, *width = covariances(likely).diagonal(axis1=1, axis2=2).T
    ratio = np.median(np.sqrt(height / np.mean(width, axis=0)))
    np.testing.assert_allclose(ratio, USUAL_HEIGHT, rtol=0.1)


def test_images_give_intensities(tmp_path):
    masks, tracks = draw_lineages(np.random.default_rng(8))
    images = write(tmp_path / "images", masks * 10)
    folder = write(tmp_path / "GT", masks, tracks)
    known = read_known_movie(AnnotatedMovie(folder, images=images), SPEC)
    np.testing.assert_allclose(known.detections.features[:, 1], 10 * known.detections.label)
    upstream = ModelSpec("up", 2, 4, "upstream", "movie", 128.0, "all")
    scaled = read_known_movie(AnnotatedMovie(folder, images=images), upstream)
    low, high = np.percentile(masks * 10, [1, 99.8])
    expected = (10 * known.detections.label - low) / (high - low)
    np.testing.assert_allclose(scaled.detections.features[:, 1], expected, rtol=1e-6)


def spoil_file(folder, name):
    (folder / name).write_bytes(b"no image")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("1 0 6 0\n1 0 6 0", "man_track.txt, track 1: listed twice"),
        ("1 0 6", "man_track.txt, line 1: '1 0 6' is not L B E P"),
        ("1 0 six 0", "man_track.txt, line 1: '1 0 six 0' is not L B E P"),
        ("1 0 9 0", "man_track.txt, track 1: ends after frame 6, the last one"),
        ("1 3 2 0", "man_track.txt, track 1: ends before it begins"),
        ("1 0 6 9", "man_track.txt, track 1: its parent 9 is not listed"),
        ("1 0 3 0\n2 3 6 1", "track 2: begins in frame 3, before its parent 1 has ended"),
        ("1 0 6 1", "track 1: begins in frame 0, before its parent 1 has ended"),
        ("0 0 6 0", "man_track.txt, track 0: the label is not positive"),
        ("", "man_track.txt lists no track"),
        (f"1 0 6 {2**63}", f"man_track.txt, line 1: '1 0 6 {2**63}' is not L B E P"),
        ("1 0 6 0", "frame 2, label 2: in the mask, but man_track.txt does not list it"),
        ("1 0 6 0\n2 3 6 0", "frame 2, label 2: in the mask, but man_track.txt lists it in"),
        ("1 0 6 0\n2 2 6 0\n3 4 4 0", "frame 4, label 3: not in the mask, but man_track.txt"),
    ],
)
def test_errors_of_a_folder_are_reported(tmp_path, table, complaint):
    masks = np.zeros((7, SIZE, SIZE), np.uint16)
    masks[:, 10:20, 10:20] = 1
    masks[2:, 40:50, 40:50] = 2
    folder = write(tmp_path / "GT", masks, np.array([[1, 0, 6, 0], [2, 2, 6, 0]]))
    read_known_movie(AnnotatedMovie(folder), SPEC)
    (folder / "man_track.txt").write_text(table)
    with pytest.raises(InputError) as caught:
        read_known_movie(AnnotatedMovie(folder), SPEC)
    assert str(caught.value).startswith(f"{folder} cannot be learned from:\n  ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("man_track003.tif", None, "1 frame without a mask between man_track002 and man_track004"),
        ("man_track004.tif", "man_track014.tif", "7 frames without a mask between man_track006"),
        ("man_track004.tif", "man_track0005.tif", "two files of one frame, man_track0005.tif and"),
        (
            "man_track004.tif",
            "notes.tif",
            "contains notes.tif, not named like the 6 files man_track*",
        ),
        (
            "man_track004.tif",
            "man_track_4.tif",
            "contains man_track_4.tif, not named like the 6 files",
        ),
        ("man_track*.tif", None, "contains no frame (TIFF, PNG"),
    ],
)
def test_missing_and_misnamed_masks_are_reported(tmp_path, old, new, complaint):
    """Otherwise the frames after a missing one would have wrong numbers."""
    masks, tracks = draw_lineages(np.random.default_rng(9))
    folder = write(tmp_path / "GT", masks, tracks)
    for path in list(folder.glob(old)):
        path.rename(folder / (new or "gone"))
    with pytest.raises(InputError) as caught:
        read_known_movie(AnnotatedMovie(folder), SPEC)
    assert str(caught.value).startswith(f"{folder} cannot be learned from:\n  ")
    assert complaint in str(caught.value)
    assert "man_track.txt, track" not in str(caught.value)  # a consequence of it


def test_all_folders_are_checked_and_ten_problems_of_each_are_reported(tmp_path):
    masks, tracks = draw_lineages(np.random.default_rng(9))
    good = write(tmp_path / "good", masks, tracks)
    other_tracks, short = (write(tmp_path / name, masks, tracks) for name in ("other", "short"))
    (other_tracks / "man_track.txt").write_text("77 0 6 0\n")
    segmented = write(tmp_path / "SEG", masks[:-1])
    volumes = write(tmp_path / "volumes", np.stack([masks, masks], 1), tracks)
    torn = write(tmp_path / "torn", masks, tracks)
    spoil_file(torn, "man_track004.tif")
    movies = [
        AnnotatedMovie(good),
        AnnotatedMovie(other_tracks),
        AnnotatedMovie(short, segmented),
        AnnotatedMovie(volumes),
        AnnotatedMovie(torn),
        AnnotatedMovie(good, frames=(2, 9)),
        AnnotatedMovie(short, points=tmp_path / "points.csv"),
        AnnotatedMovie(tmp_path / "nowhere"),
    ]
    with pytest.raises(InputError) as caught:
        read_known_movies(movies, SPEC)
    told = str(caught.value)
    assert f"\n{good} cannot" not in told
    assert len([line for line in told.split("\n") if line.startswith("  frame ")]) == 10
    for words in (
        f"{other_tracks} cannot be learned from:",
        " more\n",
        "the masks are 6 frames of (72, 72) but the truth has 7 frames of (72, 72)",
        "the frames have 3 axes but the model has 2",
        "man_track004.tif",
        "frames 2-9 are not in the movie, which has frames 0-6",
        "a movie of masks must not have points; leave them out, or add edges.csv",
        f"{tmp_path / 'nowhere'} cannot be learned from:\n  there is no such file or folder",
    ):
        assert words in told, words


def test_training_does_not_start_with_a_bad_folder(tmp_path):
    masks, tracks = draw_lineages(np.random.default_rng(9))
    write(tmp_path / "GT", masks, tracks[1:])
    (tmp_path / "run.toml").write_text('[[train]]\ntruth = "GT"\n')
    result = CliRunner().invoke(
        main, ["run", str(tmp_path / "run.toml"), "-o", str(tmp_path / "m")]
    )
    assert result.exit_code == 2
    assert "frame 0, label 1: in the mask, but man_track.txt does not list it" in result.output
    assert not (tmp_path / "m").exists()
