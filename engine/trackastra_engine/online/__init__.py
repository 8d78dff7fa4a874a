"""Tracking while the microscope runs: frames come one by one, their links follow at once.

session.py tracks in the caller's thread and answers with an Update (update.py), online_tracker.py
in a thread of its own, which micromanager.py feeds from microscopes, and tables.py in pipelines of
DataFrames; field_of_view.py is a movie that grows, changes.py what a frame changed in it, state.py
a session kept in a file.
"""

from trackastra_engine.online.online_tracker import OnlineTracker
from trackastra_engine.online.session import Session
from trackastra_engine.online.state import load_session, save_session
from trackastra_engine.online.update import Links, Objects, Update

__all__ = ["Links", "Objects", "OnlineTracker", "Session", "Update", "load_session", "save_session"]
