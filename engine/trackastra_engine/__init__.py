"""Fast cell tracking with transformers: movies and masks in, tracks with divisions out.

from trackastra_engine import Tracker
lineage = Tracker.load("general_2d").track(images, masks)
"""

from typing import TYPE_CHECKING, Any

from trackastra_engine.errors import InputError, MissingDependencyError, ModelError
from trackastra_engine.movie.selection import Selection

if TYPE_CHECKING:
    from trackastra_engine.tracker import Tracker

__all__ = ["InputError", "MissingDependencyError", "ModelError", "Selection", "Tracker"]


def __getattr__(name: str) -> Any:
    # Numba needs half a second to import; `trackastra-engine --help` must not wait for it.
    if name == "Tracker":
        from trackastra_engine.tracker import Tracker

        return Tracker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
