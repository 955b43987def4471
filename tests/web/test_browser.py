"""The control page in a real browser: Chromium without a window."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fakes.tools import require_tool
from pythonosc.udp_client import SimpleUDPClient

from tpos_live.control.osc_packets import read
from tpos_live.control.osc_server import OscControl
from tpos_live.core.looks import Cue
from tpos_live.core.status import Status
from tpos_live.web.control_page import ControlPage

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 30_000  # ms
BIG, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SMALL, ON_ITS_SIDE = {"width": 320, "height": 568}, {"width": 844, "height": 390}

pytestmark = [pytest.mark.slow, pytest.mark.real_time]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        require_tool("chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason='needs playwright: pip install "tpos-live[test]"')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, page) -> Iterator[Callable[..., Any]]:
    """Opens the page in a browser of its own; an error or warning of the browser fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_it(viewport=BIG) -> Any:
        context = chromium.new_context(viewport=viewport)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        tab.goto(page.address)
        tab.wait_for_selector("#tab-Map")
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert not complaints


def wait(tab: Any, true: Callable[[], bool]) -> None:
    for _ in range(PATIENCE // 20):
        if true():
            return
        tab.wait_for_timeout(20)
    raise AssertionError("not in time")


def test_a_show_from_two_browsers(stage, visit) -> None:
    """Prompt, fader, switch, trigger, choice and look, each done in one browser and seen in the other."""
    store = stage.store
    one, two = visit(), visit(PHONE)

    one.get_by_role("textbox", name="Prompt", exact=True).fill("aurora over mountains")
    one.get_by_role("button", name="Send").click()
    wait(one, lambda: store.snapshot()["prompt"] == "aurora over mountains")
    wait(two, lambda: two.input_value("#prompt") == "aurora over mountains")

    bloom = one.locator('input[data-name="finish.bloom"]')
    bloom.focus()
    bloom.press("End")
    wait(one, lambda: store.snapshot()["finish.bloom"] == 2.0)
    wait(two, lambda: two.input_value('input[data-name="finish.bloom"]') == "2")
    store.set("finish.bloom", 0.5)  # as OSC does
    wait(one, lambda: bloom.input_value() == "0.5")

    two.get_by_role("button", name="Blackout").click()
    wait(two, lambda: store.snapshot()["out.blackout"])
    wait(one, lambda: one.get_by_role("button", name="Blackout").get_attribute("aria-pressed") == "true")
    two.get_by_role("button", name="Panic").click()
    wait(one, lambda: one.get_by_role("button", name="Blackout").get_attribute("aria-pressed") == "false")
    assert store.snapshot().fired("out.panic") == 1

    one.get_by_role("tab", name="Output").click()
    one.locator('select[data-name="out.fit"]').select_option("mirror")
    wait(one, lambda: store.snapshot()["out.fit"] == "mirror")

    one.get_by_role("button", name="fire & ice").click()
    wait(one, lambda: store.snapshot()["look.recall"] == "fire & ice")
    two.fill("#store", "sunrise")
    two.press("#store", "Enter")
    wait(two, lambda: store.snapshot()["look.store"] == "sunrise")

    two.fill('input[data-name="prompt.1"]', "deep sea")
    two.press('input[data-name="prompt.1"]', "Enter")
    wait(two, lambda: store.snapshot()["prompt.1"] == "deep sea")
    wait(one, lambda: one.input_value('input[data-name="prompt.1"]') == "deep sea")  # an empty slot is not shown
    one.get_by_role("button", name="Show slot 1").click()
    wait(one, lambda: store.snapshot()["prompt.select"] == 1)
    one.get_by_role("button", name="Show slot 2").wait_for()  # the next empty one
    assert not one.get_by_role("button", name="Show slot 3").is_visible()

    deep, fire = Cue("deep", 8.0, "bar"), Cue("fire & ice")
    stage.show = replace(stage.show, cues=(deep, fire))
    two.locator("#cues li").nth(1).wait_for()
    assert not two.get_by_role("button", name="Delete: cue 1, deep").is_visible()
    two.get_by_role("button", name="Edit cues").click()
    two.get_by_role("button", name="Move up: cue 2, fire & ice").press("Enter")
    wait(two, lambda: store.snapshot()["look.cue.up"] == "2")
    stage.show = replace(stage.show, cues=(fire, deep))  # as the show does
    wait(one, lambda: one.locator("#cues .cue span:first-child").all_inner_texts() == ["fire & ice", "deep"])
    wait(two, lambda: two.evaluate("document.activeElement.ariaLabel") == "Move up: cue 1, fire & ice")
    two.keyboard.press("Enter")  # it is the first already
    two.get_by_role("button", name="Delete: cue 2, deep").click()
    wait(two, lambda: store.snapshot()["look.cue.delete"] == "2")
    assert store.snapshot()["look.cue.up"] == "2"
    one.get_by_role("button", name="Store as cue").click()
    wait(one, lambda: store.snapshot().fired("look.cue.store") == 1)


def test_the_cue_that_is_shown_and_the_next_one_are_marked(stage, visit) -> None:
    stage.show = replace(stage.show, cues=(Cue("deep"), Cue("fire & ice")) * 10)
    one, two = visit(), visit(PHONE)
    for tab in (one, two):
        tab.locator("#cues li").nth(19).wait_for()

    def marks(tab: Any) -> dict[int, str]:
        texts = tab.locator(".cue-mark").all_inner_texts()
        return {n: text for n, text in enumerate(texts, 1) if text}

    stage.status = replace(stage.status, next_cue=1)
    wait(one, lambda: marks(one) == {1: "next"})
    stage.status = replace(stage.status, look="fire & ice", cue=18, next_cue=19)
    for tab in (one, two):
        wait(tab, lambda tab=tab: marks(tab) == {18: "now", 19: "next"})
        current = tab.locator('.cue[aria-current="true"]')
        assert current.count() == 1 and "fire & ice" in current.inner_text()
    assert one.evaluate(
        """() => { const list = document.querySelector('#cues ol').getBoundingClientRect();
        return [17, 18].every((n) => { const row = document.querySelectorAll('#cues li')[n].getBoundingClientRect();
            return row.top >= list.top - 1 && row.bottom <= list.bottom + 1; }); }"""
    ), "the list is scrolled to them"
    assert one.evaluate("scrollY") == 0, "and not the page"
    assert one.evaluate(CONTRAST) == []
    stage.status = replace(stage.status, waiting="look fire & ice (next 4 bars)")
    wait(two, lambda: marks(two) == {18: "waits", 19: "next"})
    stage.show = replace(stage.show, cues=stage.show.cues[:18])
    stage.status = replace(stage.status, waiting="", cue=0, next_cue=18)
    wait(two, lambda: marks(two) == {18: "next"} and two.locator("#cues li").count() == 18)


def test_with_the_token_a_fader_is_read_back_by_osc_and_without_it_there_is_no_page(chromium, stage) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as desk,
        ControlPage(stage.store, lambda: stage.status, lambda: stage.show, host="0.0.0.0", port=-1) as page,
    ):
        desk.bind(("127.0.0.1", 0))
        desk.settimeout(1.0)
        with OscControl(stage.store, Status, port=-1, reply=[desk.getsockname()]) as osc:
            assert page.opened.wait(20)
            tab, address = chromium.new_page(), f"http://127.0.0.1:{page.port}/"
            for wrong in ("", "?token=x", f"?token={page.access.token}x"):
                assert tab.goto(address + wrong).status == 403 and "token" in tab.inner_text("body")
            assert tab.goto(f"{address}?token={page.access.token}").status == 200
            tab.locator('input[data-name="finish.bloom"]').press("End")
            found: list[Any] = []
            end = time.monotonic() + PATIENCE / 1000
            while found[-1:] != [2.0] and time.monotonic() < end:
                tab.wait_for_timeout(50)  # its events are handled meanwhile
                SimpleUDPClient("127.0.0.1", osc.port).send_message("/tpos/get", "finish.bloom")
                messages, _ = read(desk.recv(65536))
                found += [one.args[0] for one in messages if one.address == "/tpos/finish/bloom"]
            tab.close()
    assert found[-1:] == [2.0], found


def test_keys_are_off_until_they_are_switched_on(stage, visit) -> None:
    tab = visit()
    tab.locator("body").press("b")
    tab.get_by_role("button", name="Keys").click()
    tab.keyboard.press("Shift+R")  # no key of the window
    tab.keyboard.press("f")
    wait(tab, lambda: stage.store.snapshot()["out.fullscreen"])
    assert not stage.store.snapshot()["out.blackout"]
    tab.fill("#prompt", "b")
    tab.press("#prompt", "f")
    tab.press("#prompt", "Enter")
    wait(tab, lambda: stage.store.snapshot()["prompt"] == "bf")
    assert stage.store.snapshot()["out.fullscreen"] and not stage.store.snapshot()["out.blackout"]


@pytest.mark.parametrize("viewport", [BIG, PHONE, SMALL, ON_ITS_SIDE], ids=["laptop", "phone", "small", "landscape"])
def test_controls_are_large_enough_named_and_of_high_contrast(visit, viewport) -> None:
    """Nothing is wider than the screen; controls are 44 px high and have a name; text has a contrast of 4.5."""
    tab = visit(viewport)
    tab.get_by_role("button", name="Edit cues").click()
    for title in ("Image", "Sound", "Map"):
        tab.get_by_role("tab", name=title).click()
        tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        small = tab.evaluate(
            """[...document.querySelectorAll('button, input, select, summary, nav a')]
            .filter(e => e.offsetParent && !e.matches('.value, [type=checkbox]'))
            .filter(e => e.getBoundingClientRect().height < 43.5 || e.getBoundingClientRect().width < 43.5)
            .map(e => e.outerHTML)"""
        )
        assert small == []
        assert tab.evaluate(LOW) == []
        nameless = tab.evaluate(
            """[...document.querySelectorAll('button, input, select, textarea')].filter(e => e.offsetParent)
            .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
            .map(e => e.outerHTML)"""
        )
        assert nameless == []
    assert tab.evaluate(CONTRAST) == []


LOW = """() => {
    const touches = (e) => {
        e.scrollIntoView({ block: 'center' });
        const { left, top, width, height } = e.getBoundingClientRect();
        const hits = (dy) => document.elementFromPoint(left + width / 2, top + height / 2 + dy) === e;
        return [...Array(81).keys()].filter((n) => hits(n - 40)).length;
    };
    return [...document.querySelectorAll('.value, [type=checkbox]')]
        .filter((e) => e.offsetParent).map((e) => [e.outerHTML, touches(e)]).filter(([, px]) => px < 43);
}"""
"""Elements that are drawn smaller, but have to take touches over 44 px, and the height in which they do."""


@pytest.mark.parametrize("viewport", [PHONE, ON_ITS_SIDE], ids=["phone", "landscape"])
def test_bars_that_stay_leave_room_and_never_cover_what_has_the_focus(visit, viewport) -> None:
    tab = visit(viewport)
    bars = "nav, #safety" + ", header" * (viewport is PHONE)
    taken = tab.evaluate(f"[...document.querySelectorAll('{bars}')].reduce((sum, e) => sum + e.offsetHeight, 0)")
    assert taken < 0.3 * viewport["height"]
    for _ in range(200):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement === document.body"):
            break
        assert not tab.evaluate(COVERED)
    else:
        raise AssertionError("the page's end is not reached")


COVERED = """() => {
    const e = document.activeElement, { left, top, width, bottom } = e.getBoundingClientRect();
    if (e.closest('header, nav, #safety')) return '';
    const hits = [top + 3, bottom - 3].map((y) => document.elementFromPoint(left + width / 2, y));
    return hits.some((hit) => !hit || hit.closest('header, nav, #safety')) && e.outerHTML;
}"""
"""The focused element, if something that stays on the screen is over it, or it is outside."""


def test_each_text_has_the_direction_of_its_letters(stage, visit) -> None:
    stage.store.set("prompt.1", "שלום עולם")
    tab = visit()
    for name, text in (("prompt.2", "deep sea"), ("prompt.1", "שלום עולם")):
        field = tab.locator(f'input[data-name="{name}"]').first
        field.fill(text)
        assert field.evaluate("e => getComputedStyle(e).unicodeBidi") == "plaintext"


CONTRAST = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
    const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = numbers(getComputedStyle(e).backgroundColor);
            if (colour.length < 4 || colour[3] > 0.6) return colour;
        }
        return [12, 14, 18];
    };
    return [...document.querySelectorAll('body *')]
        .filter((e) => e.offsetParent && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
        .map((e) => [e, light(numbers(getComputedStyle(e).color)), light(behind(e))])
        .map(([e, a, b]) => [e.outerHTML.slice(0, 120), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)])
        .filter(([, ratio]) => ratio < 4.5);
}"""
