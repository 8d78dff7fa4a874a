"""The README pages: links lead somewhere, tables equal the results, examples can be run."""

import re
from pathlib import Path

import pytest

from benchmarks import plots, tables
from benchmarks.record import RESULTS, read_result
from trackastra_training.cli import main
from trackastra_training.configuration import read_configuration

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "engine" / "CORRECTIONS.md",
    *(ROOT / name / "README.md" for name in ("engine", "training", "export", "benchmarks")),
]
MAX_LINES = 220  # of the main page: five minutes


def anchors(page):
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_and_pictures_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_tables_are_those_of_the_results(page):
    text = page.read_text("utf-8")
    assert tables.filled(text) == text


def labels(picture):
    return sorted(re.findall(r">([^<>]*)</text>", picture.read_text("utf-8")))


@pytest.mark.parametrize("name", plots.PLOTS)
def test_pictures_are_drawn_from_the_results(name, tmp_path):
    """Their labels contain numbers of the results."""
    plots.PLOTS[name](read_result(name), tmp_path / "drawn.svg")
    assert labels(RESULTS / f"{name}.svg") == labels(tmp_path / "drawn.svg") != []


def test_every_table_is_on_a_page():
    text = "".join(page.read_text("utf-8") for page in tables.PAGES)
    assert [name for name in tables.TABLES if f"<!-- {name}: " not in text] == []


def test_the_main_page_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= MAX_LINES


def test_the_example_of_a_training_can_be_run(tmp_path):
    text = (ROOT / "training" / "README.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    (example,) = (example for example in examples if "movie1_SEG" in example)
    (tmp_path / "my_cells.toml").write_text(example)
    configuration = read_configuration(tmp_path / "my_cells.toml")
    assert configuration.train[0].masks == Path("movie1_SEG")
    assert configuration.validate[0].frames == (0, 49)
    commands = set(re.findall(r"trackastra-train (\w+)", text))
    assert commands == set(main.commands)
