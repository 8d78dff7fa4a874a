"""Questions about accuracy, speed and memory, each answered by one command and one JSON file.

From a clone, with `pip install -e ".[test]"`, the same benchmarks run on your machine, with your
movies and your models. How fast is each stage here, with simulated movies and with one of yours?

    trackastra-engine bench
    trackastra-engine bench --images IMAGES --masks MASKS --json speed.json

How good are tracks, where the truth is known in the form of the Cell Tracking Challenge?

    trackastra-engine track IMAGES MASKS -o TRACKS --model my_cells.onnx
    trackastra-engine evaluate TRACKS 01_GT --json quality.json

Which tracker suits the cells, with true masks and with errors in them? And which model? They are
compared on the first 50 frames of movies with a truth in 01_GT and 02_GT, and on rendered movies:

    python -m benchmarks accuracy mine=01_GT:0-49 other=02_GT:0-49
    python -m benchmarks models mine=01_GT:0-49 --model general_2d --model my_cells.onnx
    python -m benchmarks tables

Results are written to benchmarks/results/, where they replace the recorded ones. The last command
fills the tables of the README; `git checkout` restores the recorded results. A new benchmark is a
module with a click command. Its docstring begins with the question; it checks that the result is
right before it measures, and ends with `write_result`. `linking.py` is a short example.
"""
