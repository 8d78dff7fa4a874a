"""The page in a browser: clicks and keys work, text is text, phones and many tracks fit."""

import pytest

from browser import CHROMIUM, Browser
from report_pages import DOUBTFUL, HOSTILE, tracks_of_points, written
from small_movies import dividing_cell, true_lineage
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.report import RunFacts

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def opened(tmp_path, browser):
    """Return a function that opens the page of the dividing cell."""
    images, masks = dividing_cell()
    facts = RunFacts(HOSTILE, (("masks", HOSTILE),), (("tracking", 1.5),))
    written(tmp_path, true_lineage(masks), open_movie(images, masks), [DOUBTFUL], facts)

    def opened(**window):
        browser.open(tmp_path / "report.html", **window)
        browser.wait("document.readyState === 'complete'")
        browser.wait("document.getElementById('now').textContent !== ''")
        return browser

    return opened


def place_of(page, canvas, x, y):
    """Return the place in the window of a point on a canvas, in its CSS pixels."""
    box = f"document.getElementById('{canvas}').getBoundingClientRect()"
    return page.value(f"{box}.left") + x, page.value(f"{box}.top") + y


def chosen(page):
    return page.value("state.track < 0 ? 0 : arrays.track_id[state.track]")


@needs_chromium
def test_scripts_run_without_an_error_and_hostile_text_is_text(opened):
    page = opened()
    assert page.value("document.querySelector('h1').textContent") == HOSTILE
    assert page.value("document.querySelectorAll('img').length") == 0
    assert HOSTILE in page.value("element('settings').textContent")
    assert "time, tracking1.5 s" in page.value("element('settings').textContent")
    page.press("n", "n")
    page.press("ArrowRight")
    page.press(" ", " ")
    page.wait("state.frame === 5")
    page.press(" ", " ")
    assert page.value("playing") == 0
    assert page.errors == []


@needs_chromium
def test_times_of_frames_are_shown_where_they_are_known(opened):
    page = opened()
    assert page.value("element('now').textContent") == "frame 0 of 0\u20135"
    page.value("report.interval_s = 1800; show(3)")
    assert page.value("element('now').textContent") == "frame 3 of 0\u20135, 1.5 h"


@needs_chromium
def test_a_click_in_the_movie_chooses_the_track_in_the_tree_too(opened):
    page = opened()
    scale = page.value("placement().scale")
    page.click(*place_of(page, "film", 33 * scale, 25 * scale))  # cell 2 of frame 0
    assert chosen(page) == 2
    assert (
        page.value("element('chosen').textContent")
        == "Track 2: frames 0 to 2 (3), divides into 3 and 4."
    )
    page.click(*place_of(page, "film", 2, 2))  # the background
    assert chosen(page) == 0
    assert page.errors == []


@needs_chromium
def test_a_click_in_the_tree_chooses_the_track_and_its_frame(opened):
    page = opened()
    daughter = page.value("arrays.track_id.indexOf(4)")
    x, y = page.value("timeX(5)"), page.value(f"laneY({daughter})")
    page.click(*place_of(page, "tree", x, y))
    assert chosen(page) == 4
    assert page.value("state.frame") == 5
    before = page.value("element('film').toDataURL()")
    page.press("Escape")
    page.wait("!isDue")
    assert chosen(page) == 0
    assert page.value("element('film').toDataURL()") != before  # it was drawn in white


@needs_chromium
def test_keys_move_through_frames_tracks_and_doubtful_links(opened):
    page = opened()
    for key, frame in (("End", 5), ("ArrowLeft", 4), ("Home", 0), ("ArrowLeft", 0)):
        page.press(key)
        assert page.value("state.frame") == frame
    page.value("element('tree').focus()")
    for track in (3, 2, 4, 1, 1):  # from the top
        page.press("ArrowDown")
        assert chosen(page) == track
    page.press("n", "n")
    assert (chosen(page), page.value("state.frame")) == (4, 3)
    assert page.value("element('links').querySelector('button').getAttribute('aria-current')")
    assert page.errors == []


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_all_in_its_width_in_light_and_dark(opened, dark):
    page = opened(width=390, height=800, dark=dark)
    assert page.value("document.documentElement.scrollWidth") == 390
    luminance = page.value(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)[0]"
    )
    assert (luminance < 64) == dark
    assert page.errors == []


@needs_chromium
def test_of_5000_tracks_the_tree_draws_those_in_sight_and_scrolls_to_the_chosen_one(
    tmp_path, browser
):
    written(tmp_path, tracks_of_points(5000, 20), None)
    browser.open(tmp_path / "report.html")
    browser.wait("document.getElementById('now')?.textContent")
    height = browser.value("element('tree').clientHeight")
    assert 0 < browser.value(f"tracksBetween(0, {height}).length") < 100
    track = browser.value("arrays.track_id.indexOf(4321)")
    x, y = (
        browser.value(f"arrays.object_{axis}[{track}] / UNITS * placement().scale") for axis in "xy"
    )
    top = browser.value("placement().top")
    browser.click(*place_of(browser, "film", x, y + top))
    assert chosen(browser) == 4321
    browser.wait(f"laneY(state.track) > 0 && laneY(state.track) < {height}")
    assert browser.errors == []
