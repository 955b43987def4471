"""Takes the documentation's screenshot of the control page of a real show: `python benchmarks/page_image.py docs`.

The show has the shipped looks, five cues and the built-in track; a headless Chromium opens the page. Look at
`page.webp` before you commit it.
"""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tpos_live.audio.demo import DEMO
from tpos_live.core.looks import Cue
from tpos_live.core.show_file import read_show, write_show
from tpos_live.runtime.show_keeper import SHIPPED

SIZE = {"width": 1440, "height": 900}
PORT = 9667
PATIENCE = 300_000
"""Timeout of each step, in milliseconds."""
CUES = (
    Cue("Deep", 8.0, "now"),
    Cue("Polar lights", 4.0, "4 bars"),
    Cue("Tunnel", 1.0, "bar"),
    Cue("Inferno", 0.5, "bar"),
    Cue("Mountains", 12.0, "16 bars"),
)
SLOTS = {"prompt.1": "aurora over black mountains", "prompt.2": "deep sea"}


def take(tab: Any) -> bytes:
    """Recall a cue and fill prompt slots on the page, then return a screenshot as PNG."""
    tab.set_default_timeout(PATIENCE)
    tab.goto(f"http://127.0.0.1:{PORT}/")
    tab.wait_for_selector("#tab-Map")
    tab.locator("#preview-text", has_text="fps").wait_for()
    tab.locator(".cue").nth(1).click()
    tab.locator(".cue-mark", has_text="now").wait_for()
    tab.locator("#bpm", has_text="BPM").wait_for()
    for name, text in SLOTS.items():  # after the recall, because it clears the slots
        tab.fill(f'input[data-name="{name}"]', text)
        tab.press(f'input[data-name="{name}"]', "Enter")
    tab.wait_for_timeout(12_000)  # the fade
    tab.evaluate("document.activeElement.blur()")
    tab.mouse.move(0, 0)
    return bytes(tab.screenshot())


def answers() -> bool:
    """Whether the page can be opened."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", PORT)):
        return True
    return False


def main(folder: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as temporary:
        show = Path(temporary) / "set.toml"
        write_show(show, replace(read_show(SHIPPED), cues=CUES))
        command = [sys.executable, "-m", "tpos_live", "--headless", "--audio", str(DEMO), "--loop", "--mute"]
        options = ["--show-file", str(show), "--web-port", str(PORT), "--osc-port", "0"]
        with subprocess.Popen([*command, *options], cwd=temporary) as running, sync_playwright() as driver:
            try:
                while running.poll() is None and not answers():
                    time.sleep(0.2)
                browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
                with Image.open(io.BytesIO(take(browser.new_page(viewport=SIZE)))) as image:
                    image.convert("RGB").save(folder / "page.webp", quality=88, method=6)
                browser.close()
            finally:
                running.terminate()
    print(f"wrote {folder / 'page.webp'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
