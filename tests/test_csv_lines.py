"""Lines of CSV tables: those of a slow twin, which formats each number."""

import numpy as np

from trackastra_engine.files.csv_lines import LINES_AT_ONCE, csv_lines


def twin(columns, forms):
    """Slow twin: one number after another."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines = [
        ["" if number != number else form % number for number, form in zip(row, forms, strict=True)]
        for row in rows
    ]
    return "".join(",".join(cells) + "\n" for cells in lines)


def test_lines_are_those_of_the_twin():
    rng = np.random.default_rng(0)
    for n_rows in (0, 1, LINES_AT_ONCE, 2 * LINES_AT_ONCE + 1):
        numbers = rng.normal(size=(3, n_rows)) * 10.0 ** rng.integers(-9, 9, (3, n_rows))
        numbers[rng.random((3, n_rows)) < 0.2] = np.nan
        numbers[2, :1] = np.inf
        columns = [rng.integers(-(2**62), 2**62, n_rows), *numbers]
        forms = ["%d", "%.6g", "%.3f", "%.10g"]
        assert "".join(csv_lines(columns, forms)) == twin(columns, forms)
