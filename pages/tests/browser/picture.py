"""Takes a picture of the top of a page in headless Chromium, for the manual.

    picture.py PAGE.html PICTURE.png [TEXT]

With TEXT, which stands in the page, the picture begins there.
"""

import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 900, 800

source, picture, *text = sys.argv[1:]
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, offline=True, reduced_motion="reduce")
    page = context.new_page()
    page.goto(Path(source).resolve().as_uri())
    # The page's policy forbids to have a condition polled there.
    end = time.monotonic() + 20
    while not page.evaluate("document.documentElement.dataset.drawn !== undefined"):
        if time.monotonic() > end:
            raise TimeoutError(f"{source} is not drawn within 20 s")
        time.sleep(0.02)
    top = page.get_by_text(text[0], exact=True).first.bounding_box() if text else None
    area = {"x": 0, "y": max(0, top["y"] - 20) if top else 0, "width": WIDTH, "height": HEIGHT}
    whole = page.evaluate("document.documentElement.scrollHeight")
    area["height"] = min(HEIGHT, whole - area["y"])
    page.screenshot(path=picture, full_page=True, clip=area)
    browser.close()
