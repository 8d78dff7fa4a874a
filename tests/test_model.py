"""How a model runs: on which processors."""

import os
import subprocess
import sys

import pytest

COUNT_STRAYING_THREADS = """
import os
core = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {core})
from trackastra_engine.model import AssociationModel
model = AssociationModel.load(device="cpu")
print(sum(os.sched_getaffinity(int(task)) != {core} for task in os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are listed on Linux only")
@pytest.mark.skipif(os.cpu_count() == 1, reason="there is but one processor")
def test_a_model_keeps_to_the_processors_that_the_process_was_given():
    command = [sys.executable, "-c", COUNT_STRAYING_THREADS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 0
