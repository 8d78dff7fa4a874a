"""Acquisition software calls the engine with these signatures."""

import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from test_online_tracker import Heard, online
from test_session import random_tracker
from test_streaming import crowd
from trackastra_engine.online import Session
from trackastra_engine.online.micromanager import MdaHandler, image_process_fn


def as_mask(image):
    return image.astype(np.uint16)


@pytest.mark.skipif(
    not (find_spec("pymmcore_plus") and find_spec("mm_test_adapters")), reason="not installed"
)
def test_a_division_makes_the_microscope_take_a_close_up():
    """In its own process: Micro-Manager may abort when its interpreter ends.

    It is not imported here: pymmcore_plus sets the level of the root logger to DEBUG.
    """
    script = Path(__file__).parent / "closed_loop.py"
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=True
    )
    said = done.stdout.splitlines()
    assert [line for line in said if "overview" in line] == [
        f"acquired overview {frame}" for frame in range(12)
    ]
    told = [place for place, line in enumerate(said) if line.endswith("divided")]
    assert len(told) >= 2
    for place in told:
        frame = int(said[place].split()[1].strip(":"))
        assert said[place + 1].startswith(f"acquired close-up {frame} at (")
        assert said[place + 2] == f"acquired overview {frame + 1}"
    assert said[-1] == "13 tracks, 2 divisions"


def test_positions_are_fields_of_view_and_other_channels_are_left_out():
    useq = pytest.importorskip("useq")
    sequence = useq.MDASequence(
        axis_order="tpgc",
        time_plan={"interval": 0, "loops": 3},
        stage_positions=[
            (0, 0),
            useq.Position(x=9, y=9, sequence={"grid_plan": {"rows": 1, "columns": 2}}),
        ],
        channels=["DAPI", "FITC"],
    )
    heard, masks = Heard(), crowd()
    with online(heard, segment=as_mask) as tracker:
        handler = MdaHandler(tracker, select=lambda event: event.channel.config == "DAPI")
        for event in sequence:
            handler.frameReady(masks[event.index["t"]], event)
    assert heard.errors == []
    assert {update.fov for update in heard.updates} == {0, (1, 0), (1, 1)}
    for fov in (0, (1, 0), (1, 1)):
        assert heard.frames(fov) == [0, 1, 2]


def test_a_repeated_acquisition_is_reported_until_it_is_finished():
    heard, event = Heard(), SimpleNamespace(index={"t": 0, "p": 1})
    with online(heard, segment=as_mask) as tracker:
        handler = MdaHandler(tracker)
        handler.frameReady(crowd()[0], event)
        handler.frameReady(crowd()[0], event)
        tracker.finish(1)
        handler.frameReady(crowd()[0], event)
    assert heard.frames(1) == [0, 0]
    assert ["follows frame" in str(error) for _, _, error in heard.errors] == [True]


def test_pycro_manager_gets_its_images_back():
    """It passes an image and metadata, and shows and saves the returned image.

    Source: pycromanager 1.0.2, acquisition_superclass.py.
    """
    heard, masks = Heard(), crowd()
    with online(heard, Session(random_tracker()), segment=as_mask) as tracker:
        process = image_process_fn(
            tracker, select=lambda metadata: metadata["Axes"]["channel"] == "DAPI"
        )
        assert len(inspect.signature(process).parameters) == 2
        for t, mask in enumerate(masks[:3]):
            for channel in ("DAPI", "FITC"):
                metadata = {"Axes": {"time": t, "position": "B2", "channel": channel}}
                image, same = process(mask, metadata)
                assert image is mask
                assert same is metadata
    assert heard.frames("B2") == [0, 1, 2]
    assert heard.errors == []
