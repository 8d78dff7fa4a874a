"""Fast cell tracking with transformers: movies and masks in, tracks with divisions out.

    from trackastra_engine import Tracker
    lineage = Tracker.load("general_2d").track(images, masks)
"""

from trackastra_engine.errors import InputError, MissingDependencyError, ModelError
from trackastra_engine.tracker import Tracker

__all__ = ["InputError", "MissingDependencyError", "ModelError", "Tracker"]
