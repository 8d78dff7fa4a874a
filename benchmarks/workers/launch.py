"""Runs a command and prints its time and memory, including child processes.

Run as `python -S launch.py COMMAND ARGUMENT...`. It is small, since the largest memory of a process
(`ru_maxrss`) starts at that of its parent.
"""

import json
import os
import sys
import time

command = sys.argv[1:]
start = time.perf_counter()
# The output of the command must not mix with the answer.
to_stderr = [(os.POSIX_SPAWN_DUP2, 2, 1)]
process = os.posix_spawn(command[0], command, os.environ, file_actions=to_stderr)
_, status, usage = os.wait4(process, 0)
answer = {
    "cpu_s": usage.ru_utime + usage.ru_stime,
    "wall_s": time.perf_counter() - start,
    "peak_mb": usage.ru_maxrss / 1024,
}
print(json.dumps(answer))
sys.exit(os.waitstatus_to_exitcode(status))
