"""Training examples and the loss, against slow twins; and training that learns."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from skimage.measure import regionprops

from trackastra_engine.detections import Detections, detect
from trackastra_engine.errors import InputError
from trackastra_engine.frames import Frame
from trackastra_engine.simulation import (
    Division,
    Errors,
    KnownMovie,
    Shape,
    SimulationParameters,
    count_children,
    render,
    simulate,
)
from trackastra_training.augmentation import Augmentation, random_map, transform
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.cli import main
from trackastra_training.data import DataOptions, collate, examples, pack
from trackastra_training.examples import (
    association_matrix,
    cut_window,
    every_nth_frame,
    make_example,
    nearest_parent_share,
    random_crop,
    weight_matrix,
)
from trackastra_training.ground_truth import AnnotatedMovie, read_known_movie
from trackastra_training.loss import association_loss, batch_loss
from trackastra_training.train import TrainingOptions, default_config, optimise, spec_of
from trackastra_training.transformer import TrackingTransformer
from trackastra_training.validation import true_links, validate

STILL = Augmentation(0, 0, 0, 0, 0, 0, 0, 0, 0)
DIVIDING = SimulationParameters(
    n_frames=6, n_cells=20, spacing=1.3, division=Division(cycle_frames=6.0), errors=Errors(0.1)
)


def tiny_network(seed: int = 0) -> TrackingTransformer:
    torch.manual_seed(seed)
    return TrackingTransformer(default_config(2, 4, d_model=32, n_layers=1))


def ancestors(movie: KnownMovie, row: int) -> set[int]:
    found = set()
    while (row := int(movie.parent[row])) >= 0:
        found.add(row)
    return found


def test_association_is_descent_within_the_window():
    movie = simulate(DIVIDING, 1)
    window = cut_window(movie, 1, 4)
    first = int(np.searchsorted(movie.detections.frame, 1))
    matrix = association_matrix(window)
    for a, b in itertools.product(range(len(window.parent)), repeat=2):
        related = a + first in ancestors(movie, b + first) or b + first in ancestors(
            movie, a + first
        )
        assert matrix[a, b] == related


def test_weights_are_those_of_the_paper():
    window = cut_window(simulate(DIVIDING, 2), 0, 4)
    frame, n_children = window.detections.frame, window.n_children
    weight = weight_matrix(frame, n_children)
    assert set(np.unique(n_children)) >= {0, 1, 2}
    for source, target in itertools.product(range(len(frame)), repeat=2):
        is_used = 1 <= frame[target] - frame[source] <= 2
        expected = {0: 1, 1: 2, 2: 11}[int(n_children[source])] if is_used else 0
        assert weight[source, target] == expected


def naive_loss(logits, frame, coordinates, association, weight, cutoff) -> float:
    """Eq. (5) to (7), one pair at a time."""
    logits, total = logits.astype(float), 0.0
    n_tokens = len(frame)
    distance = np.linalg.norm(coordinates[:, None, 1:] - coordinates[None, :, 1:], axis=-1)
    for j, i in itertools.product(range(n_tokens), repeat=2):
        rivals = [k for k in range(n_tokens) if frame[k] == frame[i] and distance[k, j] <= cutoff]
        score = 0.0
        if frame[j] > frame[i] and distance[i, j] <= cutoff:
            score = np.exp(logits[i, j]) / (1 + np.exp(logits[rivals, j]).sum())
        for share, chance in ((1, score), (0.01, 1 / (1 + np.exp(-logits[i, j])))):
            chance = chance if association[i, j] else 1 - chance
            total -= share * weight[i, j] * max(np.log(chance), -100) if weight[i, j] else 0
    return total / n_tokens


def test_loss_is_that_of_the_paper_and_padding_does_not_matter():
    model, rng = tiny_network(), np.random.default_rng(3)
    windows = [cut_window(simulate(replace(DIVIDING, n_cells=n), 3), 0, 4) for n in (4, 9)]
    parts = [make_example(window, 40, STILL, rng) for window in windows]
    batch = collate(parts)
    logits = 3 * torch.randn(batch.association.shape, generator=torch.Generator().manual_seed(4))
    scores = model.normalised_scores(logits, batch.frame, batch.coordinates, forward_only=True)
    expected = sum(
        len(part.frame)
        * naive_loss(
            logits[row, : len(part.frame), : len(part.frame)].numpy(),
            *(part.frame, part.tokens.coordinates, part.association, part.weight),
            model.config.spatial_pos_cutoff,
        )
        for row, part in enumerate(parts)
    ) / sum(len(part.frame) for part in parts)
    # float32 sums, and 1e-6 in the denominator of the network's softmax
    assert association_loss(logits, scores, batch).item() == pytest.approx(expected, rel=1e-3)


def test_transformed_detections_are_those_of_transformed_pixels():
    """An ellipse is measured, moved by a linear map, and compared with the drawn moved ellipse."""
    rng = np.random.default_rng(5)
    for _ in range(3):
        linear_map = random_map(Augmentation(), 2, rng)
        y, x = np.mgrid[-60:61, -60:61].astype(float)
        points = np.stack([y, x], -1)
        masks = []
        for pixels in (points, points @ np.linalg.inv(linear_map).T):
            masks.append(((pixels / [30, 15]) ** 2).sum(-1) <= 1)
        before = detect(Frame(0, None, masks[0].astype(int)), 2)
        moved = transform(before, linear_map)
        region = regionprops(masks[1].astype(int))[0]
        np.testing.assert_allclose(moved.features[0, 0], region.equivalent_diameter_area, rtol=0.01)
        expected = np.ravel(region.inertia_tensor)
        # outlines of 100 pixels: areas agree to half a percent, inertia to one
        np.testing.assert_allclose(moved.features[0, 2:-1], expected, atol=0.01 * expected.max())


def test_targets_whose_parent_was_cut_away_have_no_weight():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 6), 0, 4)
    rng = np.random.default_rng(6)
    kept = random_crop(window.detections.centroid, 50, rng)
    example = make_example(window, 50, STILL, np.random.default_rng(6))
    has_parent = window.parent[kept] >= 0
    lost_parent = has_parent & ~np.isin(window.parent[kept], kept)
    assert lost_parent.any()
    assert not example.weight[:, lost_parent].any()
    assert example.weight[:, ~lost_parent & (example.frame > 0)].any(axis=0).all()


def test_absolute_places_are_lost():
    """The same window twice: the tokens lie elsewhere, in the same arrangement."""
    window = cut_window(simulate(DIVIDING, 7), 0, 4)
    moving = replace(STILL, offset=1000.0)
    tokens = [
        make_example(window, 500, replace(moving, stretch=0), np.random.default_rng(seed)).tokens
        for seed in (1, 2)
    ]
    apart = [
        np.linalg.norm(t.coordinates[:, None, 1:] - t.coordinates[None, :, 1:], axis=-1)
        for t in tokens
    ]
    # float32 coordinates of up to 1000; the turn is rounded, too
    np.testing.assert_allclose(apart[0], apart[1], atol=0.01)
    assert np.abs(tokens[0].coordinates[0, 1:] - tokens[1].coordinates[0, 1:]).max() > 10


def test_every_second_frame_keeps_the_descent():
    movie = simulate(DIVIDING, 8)
    half = every_nth_frame(movie, 2)
    kept = np.flatnonzero(movie.detections.frame % 2 == 0)
    np.testing.assert_array_equal(half.detections.centroid, movie.detections.centroid[kept])
    assert half.detections.frame.max() == movie.detections.frame.max() // 2
    for row, old_row in enumerate(kept):
        older = [r for r in ancestors(movie, int(old_row)) if movie.detections.frame[r] % 2 == 0]
        assert half.parent[row] == (np.searchsorted(kept, max(older)) if older else -1)
    np.testing.assert_array_equal(half.n_children, count_children(half.parent))


def test_the_nearest_parent_is_mostly_right_in_a_calm_movie():
    calm = replace(DIVIDING, spacing=4.0, division=Division(cycle_frames=np.inf), errors=Errors())
    assert nearest_parent_share(simulate(calm, 9)) > 0.95


@pytest.fixture
def ctc_folder(tmp_path):
    """A rendered movie whose masks carry track numbers, as the Cell Tracking Challenge has them."""
    movie = render(replace(DIVIDING, shape=Shape(diameter_px=12.0)), 10)
    children = {}
    for source_frame, source, target_frame, target in movie.edges.tolist():
        children.setdefault((source_frame, source), []).append((target_frame, target))
    tracks, label_of = [], {}
    for frame, mask in enumerate(movie.masks):
        for label in np.unique(mask[mask > 0]).tolist():
            if (frame, label) not in label_of:
                tracks.append([len(tracks) + 1, frame, frame, 0])
                label_of[frame, label] = len(tracks)
            track = label_of[frame, label]
            tracks[track - 1][2] = frame
            following = children.get((frame, label), [])
            for child in following:
                if len(following) > 1 or child[0] > frame + 1:
                    tracks.append([len(tracks) + 1, child[0], child[0], track])
                label_of[child] = track if len(following) == 1 else len(tracks)
        numbers = np.array([0] + [label_of.get((frame, v), 0) for v in range(1, mask.max() + 1)])
        (tmp_path / "TRA").mkdir(exist_ok=True)
        tifffile.imwrite(
            tmp_path / "TRA" / f"man_track{frame:03}.tif", numbers[mask].astype(np.uint16)
        )
    np.savetxt(tmp_path / "TRA" / "man_track.txt", tracks, fmt="%d")
    return tmp_path, movie


def test_annotated_folders_are_read_as_known_movies(ctc_folder):
    folder, rendered = ctc_folder
    movie = read_known_movie(AnnotatedMovie(folder))
    links = {
        (
            int(movie.detections.frame[p]),
            int(movie.detections.frame[c]),
            *movie.detections.centroid[c],
        )
        for c, p in enumerate(movie.parent)
        if p >= 0
    }
    expected = set()
    for source_frame, _, target_frame, label in rendered.edges.tolist():
        place = np.argwhere(rendered.masks[target_frame] == label).mean(0)
        expected.add((source_frame, target_frame, *place))
    assert {np.round(link, 6).tobytes() for link in links} == {
        np.round(link, 6).tobytes() for link in expected
    }


def test_frames_can_be_held_out(ctc_folder):
    folder, _ = ctc_folder
    whole = read_known_movie(AnnotatedMovie(folder))
    part = read_known_movie(AnnotatedMovie.parse(f"{folder}:2-4"))
    inside = (whole.detections.frame >= 2) & (whole.detections.frame <= 4)
    np.testing.assert_array_equal(part.detections.centroid, whole.detections.centroid[inside])
    assert part.detections.frame[0] == 0
    with pytest.raises(InputError, match="has 6 frames"):
        read_known_movie(AnnotatedMovie.parse(f"{folder}:2-9"))


def test_batches_keep_to_their_size_and_seed():
    options = DataOptions(max_tokens=60, batch_tokens=150)

    def first_batches():
        rng = np.random.default_rng(11)
        return list(itertools.islice(pack(examples([], options, rng), 150, rng), 3))

    batches, again = first_batches(), first_batches()
    for batch, same in zip(batches, again, strict=True):
        assert batch.frame.numel() <= 150
        torch.testing.assert_close(batch.features, same.features, rtol=0, atol=0)


def test_a_few_steps_lower_the_loss():
    model, rng = tiny_network(), np.random.default_rng(12)
    windows = [cut_window(simulate(DIVIDING, seed), 0, 4) for seed in range(2)]
    batch = collate([make_example(window, 60, STILL, rng) for window in windows])
    before = batch_loss(model, batch).item()
    options = TrainingOptions(max_steps=25, learning_rate=5e-3, warmup_steps=5)
    state = optimise(model, itertools.repeat(batch), options)
    assert state.step == 25
    assert batch_loss(model, batch).item() < 0.5 * before


def test_true_links_join_neighbouring_frames_only():
    movie = simulate(DIVIDING, 13)
    source, target = true_links(movie)
    frame = movie.detections.frame
    gap = frame - frame[movie.parent]
    assert ((movie.parent >= 0) & (gap > 1)).any()  # cells that were missed for a frame
    assert (frame[target] - frame[source] == 1).all()
    assert len(target) == ((movie.parent >= 0) & (gap == 1)).sum()


def test_an_untrained_network_is_measured_on_all_true_edges():
    config = default_config(2, 4, d_model=32, n_layers=1)
    movie = simulate(DIVIDING, 13)
    scores = validate(tiny_network(), spec_of(config, "tiny", ""), [movie])
    assert scores.edges.expected == len(true_links(movie)[0])


def test_the_command_leaves_a_checkpoint(tmp_path, ctc_folder):
    options = ["--minutes", "0.001", "--d-model", "32", "--layers", "1", "--data"]
    result = CliRunner().invoke(
        main, ["run", "-o", str(tmp_path / "m"), *options, str(ctc_folder[0])]
    )
    assert result.exit_code == 0, result.output
    assert load_model(tmp_path / "m").config.d_model == 32
    assert load_spec(tmp_path / "m").recipe == "relative"


def test_empty_frames_do_not_matter():
    """Two cells in frame 0, none in frame 1, one in frame 2."""
    detections = Detections(
        np.array([0, 0, 2], np.int32),
        np.array([1, 2, 1]),
        np.array([[5.0, 5], [20, 20], [6, 6]]),
        np.column_stack([np.full(3, 4.0), np.full(3, np.nan), np.ones((3, 4)), np.zeros(3)]),
    )
    window = KnownMovie(detections, np.array([-1, -1, 0]), np.array([1, 0, 0]))
    example = make_example(window, 10, Augmentation(dropped=0), np.random.default_rng(14))
    assert example.weight[0, 2] == 2
    assert np.isfinite(example.tokens.features).all()
