"""Track while the microscope runs: each frame is linked as soon as it arrives.

session.py tracks in the caller's thread and returns an Update (update.py), online_tracker.py tracks
in its own thread, for images from microscopes also by micromanager.py, and tables.py tracks in
pipelines of DataFrames. arrived_frame.py checks the arrays of a frame, field_of_view.py is a movie
that grows, changes.py finds the changes of a frame, state.py saves a session to a file.
"""

from trackastra_engine.online.online_tracker import OnlineTracker
from trackastra_engine.online.session import Session
from trackastra_engine.online.state import load_session, save_session
from trackastra_engine.online.update import Links, Objects, Update

__all__ = ["Links", "Objects", "OnlineTracker", "Session", "Update", "load_session", "save_session"]
