"""Plan which tokens see each other, so that a model's cost is linear in their number.

Attention and association end at the cutoff, so nearly all pairs of a large window are void.
Tokens are divided into compact blocks; the queries of a block see one list of keys, the tokens
within the cutoff of any of them. This is exact: the graph masks a key beyond the cutoff of one
query for that query. In a small window every list contains all tokens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.kernels.blocks import find_candidates, find_keys
from trackastra_engine.model.edges import Edges

# Queries of a block: 48 to 96 need the same time within 5 % on a CPU for 400 to 4000 tokens, of
# which 57 per frame are within the cutoff; 192 need 2 to 15 % more.
BLOCK_SIZE = 64
LIST_STEP = 16  # in filled plans: fast attention on GPUs needs multiples of 8 as lengths of lists
# The graph computes the mask itself, in float32 with a rounding error under 1e-6.
KEY_MARGIN = 1e-6
LIKELY_KEYS, LIKELY_CANDIDATES = 1024, 128  # longer lists are computed again
MAX_ENTRIES = 2**27  # of such a table: 100 000 cells per frame, of which 400 are within reach


@dataclass(frozen=True, slots=True, eq=False)
class AttentionPlan:
    """The blocks of N tokens; the graph sees the tokens as rows, block by block.

    Blocks shorter than the longest repeat their last token; no token sees the copies. The encoder
    updates all tokens; the decoder only targets, those after the first frame.
    """

    token: IntArray  # (M,) the token in each row, M = B * W: B encoder blocks of W queries
    encoder_keys: NDArray[np.int32]  # (B, K) rows; -1 after the last key
    encoder_key_count: NDArray[np.int32]  # (B,) true length of each list of keys
    target: NDArray[np.int32]  # (B' * W',) rows, of B' decoder blocks of W' queries
    decoder_keys: NDArray[np.int32]  # (B', K') rows; -1 after the last key
    decoder_key_count: NDArray[np.int32]  # (B',)
    # (B', G, W', S) columns of decoder_keys with the sources, 1..G frames before; -1 for none
    candidates: NDArray[np.int32]

    def inputs(self) -> dict[str, NDArray[np.int32]]:
        """Return the inputs of the graph by name."""
        return {name: getattr(self, name) for name in PLAN_INPUTS}

    def edges(self, scores: FloatArray) -> Edges:
        """Return scores (B', G, W', S) of the candidates as edges between tokens."""
        block, gap, query, place = np.nonzero(self.candidates >= 0)
        column = self.candidates[block, gap, query, place]
        target = self.target[block * self.candidates.shape[2] + query]
        return Edges(
            self.token[self.decoder_keys[block, column]],
            self.token[target],
            scores[block, gap, query, place].astype(float),
        )


PLAN_INPUTS = tuple(name for name in AttentionPlan.__slots__ if name != "token")


def plan_attention(
    coordinates: FloatArray,
    cutoff: float,
    *,
    max_gap: int = 1,
    most_sources: int | None = None,
    block_size: int = BLOCK_SIZE,
    filled: bool = False,
) -> AttentionPlan:
    """Return the plan for tokens at (N, 1 + D) times and positions, at least one.

    Candidates are pairs within the cutoff whose target is 1 to `max_gap` frames later: of each
    target and each of these frames all, or the `most_sources` nearest sources. With `filled`, all
    blocks are `block_size` long, and lists a multiple of LIST_STEP.

    Raises InputError if too many pairs of tokens are within reach.
    """
    frame = coordinates[:, 0].astype(np.int64)
    width, multiple = (block_size, LIST_STEP) if filled else (0, 1)
    everyone = _Blocks.cut(coordinates, np.arange(len(frame)), block_size, width)
    late = _Blocks.cut(coordinates, np.flatnonzero(frame > frame.min()), block_size, width)
    reach = cutoff * (1 + KEY_MARGIN)
    encoder_keys, encoder_key_count = _keys(everyone, everyone, reach, multiple)
    decoder_keys, decoder_key_count = _keys(late, everyone, reach, multiple)
    most = len(frame) if most_sources is None else most_sources

    def fill(table: NDArray[np.int32]) -> int:
        latest = frame[late.token] - 1
        found: int = find_candidates(
            late.starts, late.points, latest, everyone.points, frame[everyone.token],
            decoder_keys, decoder_key_count, cutoff, most, table,
        )  # fmt: skip
        return found

    row = everyone.rows()
    row_of_token = np.empty_like(row)
    row_of_token[everyone.token] = row
    row_or_none = np.append(row, np.int32(-1))
    return AttentionPlan(
        token=everyone.in_slots(),
        encoder_keys=row_or_none[encoder_keys],
        encoder_key_count=encoder_key_count,
        target=row_of_token[late.in_slots()],
        decoder_keys=row_or_none[decoder_keys],
        decoder_key_count=decoder_key_count,
        candidates=_filled(
            fill, (len(late.boxes), max_gap, late.width), LIKELY_CANDIDATES, multiple
        ),
    )


def joined(plans: Sequence[AttentionPlan]) -> AttentionPlan:
    """Return one plan for the tokens of several filled plans, one after the other.

    No token sees those of another plan.
    """
    first_token = np.cumsum([0, *(int(plan.token.max()) + 1 for plan in plans)])
    first_row = np.cumsum([0, *(len(plan.token) for plan in plans)]).astype(np.int32)

    def tables(name: str, shift: bool) -> NDArray[np.int32]:
        parts = [getattr(plan, name) for plan in plans]
        length = max(part.shape[-1] for part in parts)
        together = []
        for part, row in zip(parts, first_row, strict=False):
            shifted = np.where(part >= 0, part + row, part) if shift else part
            to_fill = [(0, 0)] * (part.ndim - 1) + [(0, length - part.shape[-1])]
            together.append(np.pad(shifted, to_fill, constant_values=-1))
        return np.concatenate(together)

    return AttentionPlan(
        token=np.concatenate(
            [plan.token + first for plan, first in zip(plans, first_token, strict=False)]
        ),
        encoder_keys=tables("encoder_keys", shift=True),
        encoder_key_count=np.concatenate([plan.encoder_key_count for plan in plans]),
        target=np.concatenate(
            [plan.target + first for plan, first in zip(plans, first_row, strict=False)]
        ),
        decoder_keys=tables("decoder_keys", shift=True),
        decoder_key_count=np.concatenate([plan.decoder_key_count for plan in plans]),
        candidates=tables("candidates", shift=False),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """N tokens in B compact blocks, whose sizes differ by at most a few."""

    width: int  # of each block, filled up
    token: IntArray  # (N,) block by block
    starts: IntArray  # (B + 1,) start of each block in `token`
    points: FloatArray  # (N, 2, D) float64, twice the position of each token: a box
    boxes: FloatArray  # (B, 2, D) float64, lowest and highest corner of each block

    @classmethod
    def cut(
        cls, coordinates: FloatArray, token: IntArray, block_size: int, min_width: int
    ) -> "_Blocks":
        """Return blocks of at most `block_size` of the tokens; none for no tokens."""
        position = coordinates[token, 1:].astype(np.float64)
        order, starts = _bisect(position, -(-len(token) // block_size))
        points = np.repeat(position[order][:, None], 2, axis=1)
        boxes = np.empty((len(starts) - 1, *points.shape[1:]))
        if len(boxes):
            boxes[:, 0] = np.minimum.reduceat(points[:, 0], starts[:-1])
            boxes[:, 1] = np.maximum.reduceat(points[:, 0], starts[:-1])
        width = int(np.diff(starts).max(initial=min_width))
        return cls(width, token[order], starts, points, boxes)

    def in_slots(self) -> IntArray:
        """Return the tokens of blocks of equal size (B * W,); short ones repeat their last."""
        column = np.minimum(np.arange(self.width), np.diff(self.starts)[:, None] - 1)
        slots: IntArray = self.token[(self.starts[:-1, None] + column).ravel()]
        return slots

    def rows(self) -> NDArray[np.int32]:
        """Return the slot of each of `token` (N,)."""
        offset = np.arange(len(self.boxes)) * self.width - self.starts[:-1]
        rows = np.arange(len(self.token)) + np.repeat(offset, np.diff(self.starts))
        return rows.astype(np.int32)


def _bisect(position: FloatArray, n_blocks: int) -> tuple[IntArray, IntArray]:
    """Divide points (N, D) into blocks of nearly equal size, the leaves of a k-d tree.

    Returns the points block by block (N,), and the start of each block (n_blocks + 1,).
    """
    order = np.arange(len(position))
    starts = np.zeros(n_blocks + 1, np.int64)
    starts[n_blocks] = len(position)
    pending = [(0, n_blocks)] if n_blocks > 1 else []
    while pending:
        low, high = pending.pop()
        middle = (low + high) // 2
        first, last = starts[low], starts[high]
        cut = (last - first) * (middle - low) // (high - low)
        part = order[first:last]
        axis = np.ptp(position[part], axis=0).argmax()
        order[first:last] = part[np.argpartition(position[part, axis], cut)]
        starts[middle] = first + cut
        pending += [ends for ends in ((low, middle), (middle, high)) if ends[1] - ends[0] > 1]
    return order, starts


def _keys(
    queries: _Blocks, tokens: _Blocks, reach: float, multiple: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the keys (B, K) of each block of queries, as indices of `tokens`; and their number."""
    n_keys = np.zeros(len(queries.boxes), np.int32)

    def fill(table: NDArray[np.int32]) -> int:
        found: int = find_keys(
            queries.starts, queries.points, queries.boxes,
            tokens.starts, tokens.points, tokens.boxes, reach, table, n_keys,
        )  # fmt: skip
        return found

    return _filled(fill, (len(n_keys),), LIKELY_KEYS, multiple), n_keys


def _filled(
    fill: Callable[[NDArray[np.int32]], int], shape: tuple[int, ...], likely: int, multiple: int
) -> NDArray[np.int32]:
    """Return a table of that shape and a last axis just long enough for the entries of `fill`.

    Its length is a `multiple`. `fill` returns the length that it needs; unused entries are -1.
    Raises InputError if the table would exceed MAX_ENTRIES.
    """
    table = np.full((*shape, likely), -1, np.int32)
    needed = fill(table) if table.size else 0
    if needed * math.prod(shape) > MAX_ENTRIES:
        raise InputError(
            f"{needed} detections of a few frames are within reach of one, too many to compare "
            "all; check that they are not noise, or larger than their distances"
        )
    length = -(-needed // multiple) * multiple
    if length > likely:
        table = np.full((*shape, length), -1, np.int32)
        fill(table)
    return np.ascontiguousarray(table[..., :length])
