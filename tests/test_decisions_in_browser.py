"""Decisions on the page: keys, clicks, progress, and the table that `link` reads."""

import csv
import time

import pytest

from browser import CHROMIUM, Browser
from command_line import exported, run, write_movie
from report_pages import written
from small_movies import dividing_cell, true_lineage
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.review import DoubtfulLink
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.report import RunFacts

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

# Questions of the dividing cell: 2 in frames 0 to 2 has the daughters 3 and 4, 1 is always there.
QUESTIONS = [
    DoubtfulLink((3, 4), (2, 2), 0.51, 0.02, (((2, 1), 0.49), (None, 0.0))),
    DoubtfulLink((3, 3), (2, 2), 0.6, 0.2, (((2, 1), 0.4), (None, 0.0))),
    DoubtfulLink((2, 1), None, 0.6, 0.2, (((1, 2), 0.4), ((1, 1), 0.1))),
]


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def opened(tmp_path, browser):
    """Return a function that opens the page of the dividing cell with the questions."""

    def opened(corrections=None, **window):
        images, masks = dividing_cell()
        movie, facts = open_movie(images, masks), RunFacts("cells", command="link <b>again</b>")
        written(tmp_path, true_lineage(masks), movie, QUESTIONS, facts, corrections)
        browser.open(tmp_path / "report.html", **window)
        browser.wait("document.getElementById('now')?.textContent")
        browser.save_into(tmp_path)
        return browser

    return opened


def shown(page):
    """Return the question that is open, its answers and the progress."""
    answers = "[...element('links').querySelectorAll('em')].map((one) => one.textContent)"
    return page.value("state.link"), page.value(answers), page.value("element('progress').value")


def saved(page, folder):
    """Press the button, and return the rows of the table."""
    table = folder / "corrections.csv"
    table.unlink(missing_ok=True)
    page.wait("!isDue")  # panes that are drawn later move the button
    page.value("element('save').scrollIntoView()")
    page.rest()
    page.click(*middle(page, "save"))
    end = time.monotonic() + 20
    while not table.is_file():
        assert time.monotonic() < end, "nothing was saved"
        time.sleep(0.05)
    with table.open() as file:
        return list(csv.reader(file))[1:]


def middle(page, name):
    box = f"element('{name}').getBoundingClientRect()"
    return page.value(f"{box}.left + {box}.width / 2"), page.value(f"{box}.top + {box}.height / 2")


def click_at(page, pane, x, y):
    """Click on a point of the frame in a pane."""
    page.wait("!isDue")  # panes exist when they were drawn
    page.value(f"element('{pane}').scrollIntoView({{ block: 'center' }})")
    page.rest()
    box, sight = f"element('{pane}').getBoundingClientRect()", f"paneSight(element('{pane}'))"
    left = page.value(f"{box}.left + {sight}.left + {sight}.scale * {x}")
    top = page.value(f"{box}.top + {sight}.top + {sight}.scale * {y}")
    page.click(left, top)


def test_keys_answer_and_move_to_the_next_open_question(opened, tmp_path):
    page = opened()
    assert shown(page) == (-1, ["", "", ""], "0 of 3 decided")
    page.press("n")
    page.press("y")
    assert shown(page) == (1, ["right", "", ""], "1 of 3 decided")
    page.press("1")
    assert shown(page) == (2, ["right", "from object 1", ""], "2 of 3 decided")
    page.press("x")  # of no parent
    assert "Choose its parent" in page.value("element('said').textContent")
    page.press("0")
    assert shown(page) == (2, ["right", "from object 1", "right"], "3 of 3 decided")
    page.press("u")
    page.press("2")
    assert shown(page)[1] == ["right", "from object 1", "from object 1"]
    assert saved(page, tmp_path) == [
        ["2", "2", "3", "4", "link"],
        ["2", "1", "3", "3", "link"],
        ["1", "1", "2", "1", "link"],
    ]
    assert page.errors == []


def test_a_wrong_link_is_struck_out_and_an_answer_may_be_changed(opened, tmp_path):
    page = opened()
    page.press("n")
    page.press("x")
    assert shown(page) == (1, ["wrong", "", ""], "1 of 3 decided")
    page.press("p")
    page.press("0")
    assert shown(page)[1][0] == "no parent"
    assert saved(page, tmp_path) == [
        ["2", "2", "3", "4", "no-link"],
        ["", "", "3", "4", "link"],
    ]
    page.press("p")
    page.press("y")
    assert saved(page, tmp_path) == [["2", "2", "3", "4", "link"]]
    page.press("u", "")
    page.press("u", "")
    page.press("u", "")
    assert shown(page) == (0, ["", "", ""], "0 of 3 decided")
    assert page.value("element('save').disabled")
    assert page.errors == []


def test_clicks_link_two_objects_and_strike_out_a_link(opened, tmp_path):
    page = opened()
    page.press("n")
    at = page.value(
        "[...arrays.object_track.keys()].map((one) => [tracks.frame[one], "
        "arrays.object_label[one], arrays.object_x[one] / UNITS, arrays.object_y[one] / UNITS])"
    )
    places = {(int(frame), int(label)): (x, y) for frame, label, x, y in at}
    click_at(page, "before", *places[2, 1])
    assert page.value("picked.before") >= 0
    click_at(page, "after", *places[3, 4])
    assert shown(page)[1][0] == "from object 1"
    page.press("p")
    middle_of_link = [(a + b) / 2 for a, b in zip(places[2, 2], places[3, 3], strict=True)]
    click_at(page, "after", *middle_of_link)
    assert shown(page)[1] == ["from object 1", "wrong", ""]
    assert saved(page, tmp_path) == [
        ["2", "1", "3", "4", "link"],
        ["2", "2", "3", "3", "no-link"],
    ]
    assert page.errors == []


def test_a_third_daughter_is_rejected(opened):
    page = opened(Corrections.of([((2, 2), (3, 3), True), ((2, 2), (3, 1), True)]))
    page.press("n")
    page.press("p")
    assert shown(page)[1] == ["", "right", ""]
    page.press("y")
    assert "has two daughters already" in page.value("element('said').textContent")
    assert shown(page)[2] == "1 of 3 decided"


def test_earlier_corrections_are_saved_too_and_can_be_replaced(opened, tmp_path):
    earlier = [((2, 2), (3, 4), False), ((0, 1), (1, 1), True), (None, (3, 3), True)]
    page = opened(Corrections.of([*earlier, ((4, 1), None, True)]))
    assert shown(page)[1] == ["wrong", "no parent", ""]
    page.press("n")
    page.press("y")
    assert saved(page, tmp_path) == [
        ["0", "1", "1", "1", "link"],
        ["", "", "3", "3", "link"],
        ["4", "1", "", "", "link"],
        ["2", "2", "3", "4", "link"],
    ]
    assert page.value("element('command').textContent") == "link <b>again</b>"


def test_buttons_do_as_keys_and_fit_a_phone(opened):
    page = opened(width=390, height=800)
    page.press("n")
    page.wait("!isDue")
    for name in ("right", "wrong"):
        page.value(f"element('{name}').scrollIntoView({{ block: 'center' }})")
        page.click(*middle(page, name))
    assert shown(page)[1] == ["right", "wrong", ""]
    page.value("element('parents').children[1].scrollIntoView({ block: 'center' })")
    page.value("element('parents').children[1].id = 'second'")
    page.click(*middle(page, "second"))
    assert shown(page)[1] == ["right", "wrong", "from object 1"]
    assert page.value("document.documentElement.scrollWidth") == 390
    assert page.errors == []


def test_link_reads_the_saved_table(tmp_path, browser):
    """From the first run to the corrected one; the command is the one that the page shows."""
    images, masks, out = write_movie(tmp_path)
    model = exported("rope2d", tmp_path)
    result = run("track", images, masks, "-o", out, "--model", model, "--mode", "ilp")
    assert result.exit_code == 0, result.output
    browser.open(out / "report.html")
    browser.wait("document.getElementById('now')?.textContent")
    browser.save_into(tmp_path)
    browser.press("n")
    browser.press("0")
    target = browser.value("report.links[0].target")
    ((*row, verdict),) = saved(browser, tmp_path)
    assert (row, verdict) == (["", "", str(target["frame"]), str(target["label"])], "link")
    command = browser.value("element('command').textContent").split()
    assert command == [
        *("trackastra-engine", "link", str(out), "--mode", "ilp", "--corrections"),
        "corrections.csv",
    ]
    result = run(*command[1:-1], tmp_path / "corrections.csv")
    assert result.exit_code == 0, result.output
    with (out / "edges.csv").open() as file:
        targets = [row[2:4] for row in csv.reader(file)]
    assert row[2:] not in targets
