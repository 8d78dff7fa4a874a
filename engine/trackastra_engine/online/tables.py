"""Track tables of positions, in pipelines that store cells in pandas DataFrames."""

import threading
from collections.abc import Hashable
from typing import Any, Protocol, TypeAlias

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.online.session import Session
from trackastra_engine.online.update import Update
from trackastra_engine.tracker import Tracker

DataFrame: TypeAlias = Any  # of pandas, which callers have installed


class FieldState(Hashable, Protocol):
    """A pipeline's state of a field of view; the same object for all its frames."""

    fov_timestep_counter: int  # number of the frame


class TableTracker:
    """A tracker for rtm-pymmcore (faro), and pipelines that call `track_cells` in the same way.

    Returned rows never change: links are decided at once, from the newest window (see `delay` in
    the README). May be called from several threads.

    Parameters
    ----------
    tracker : Tracker
        That fits a `Session`.

    Examples
    --------
    >>> tables = TableTracker(tracker)  # then tables.track_cells, once a frame
    """

    def __init__(self, tracker: Tracker) -> None:
        """Create a Session without delay; see Session for the errors."""
        self._session = Session(tracker, delay=0)
        self._lock = threading.Lock()
        self._axes = ["z", "y", "x"][-tracker.model.spec.ndim :]

    def track_cells(self, df_old: DataFrame, df_new: DataFrame, fov_state: FieldState) -> DataFrame:
        """Return the rows of `df_old`, followed by those of `df_new` with their tracks.

        Parameters
        ----------
        df_old : pandas.DataFrame
            The result for the frame before; empty when a field of view begins.
        df_new : pandas.DataFrame
            A row for each object of the frame: `label` and [`z`,] `y` and `x` (pixels).
        fov_state : object
            The field of view, with the number of the frame, `fov_timestep_counter`.

        Returns
        -------
        pandas.DataFrame
            With new columns: `particle`, the number of the track in the field of view;
            `parent_particle`, the track of the mother if it begins by a division;
            `fov_timestep`.

        Raises
        ------
        InputError
            If columns are missing, or the frame does not follow the last one.

        Examples
        --------
        >>> import pandas as pd
        >>> class Field:
        ...     fov_timestep_counter = 0
        >>> cells = pd.DataFrame({"label": [1, 2], "y": [5.0, 5.0], "x": [5.0, 40.0]})
        >>> table = TableTracker(tracker).track_cells(cells[:0], cells, Field())
        >>> table.particle.tolist()
        [1, 2]
        """
        import pandas as pd  # of the caller

        missing = [name for name in ("label", *self._axes) if name not in df_new.columns]
        if missing and len(df_new) > 0:
            raise InputError(
                f"the table has no column {missing[0]!r}; expected label, {', '.join(self._axes)}"
            )
        update = self._push(df_new, fov_state, is_first=len(df_old) == 0)
        if len(df_new) == 0:
            return df_old
        objects, label = update.objects, df_new["label"].to_numpy()
        track = objects.track[np.searchsorted(objects.label, label)]
        parent = pd.Series(_mothers(update, track), index=df_new.index)
        table = df_new.assign(
            particle=track.astype(np.uint32),
            parent_particle=parent.where(parent > 0).astype("Int64"),
            fov_timestep=fov_state.fov_timestep_counter,
        )
        return table if len(df_old) == 0 else pd.concat([df_old, table], ignore_index=True)

    def _push(self, table: DataFrame, fov_state: FieldState, *, is_first: bool) -> Update:
        position = table[self._axes].to_numpy() if len(table) else np.empty((0, len(self._axes)))
        label = table["label"].to_numpy() if len(table) else None
        with self._lock:
            if is_first and fov_state in self._session.fields:
                self._session.finish(fov_state)
            update = self._session.push_points(
                position, label=label, fov=fov_state, frame=fov_state.fov_timestep_counter
            )
        assert update is not None  # as there is no delay
        return update


def _mothers(update: Update, track: IntArray) -> IntArray:
    """Return the track of the mother of each track, or 0 if it did not begin by a division."""
    mother, *daughters = update.divisions.track.reshape(-1, 3).T
    mother_of = {d: m for pair in daughters for d, m in zip(pair, mother, strict=True)}
    return np.array([mother_of.get(number, 0) for number in track.tolist()], np.int64)
