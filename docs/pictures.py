"""Take the picture of the lab in the browser.

`python docs/pictures.py http://127.0.0.1:8080 mobilenet-v2-sparse75`.

The registry at that address holds the artifact and its relatives, and LiteRT.js is installed beside
it (`zoo devices install web-wasm`). On an otherwise idle machine: what the picture shows was
measured while it was taken. Needs Chromium and playwright.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURE = Path(__file__).parent / "images" / "lab.png"
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 600_000


def lab(page: Page, address: str) -> bytes:
    """Measure with what the page ticks by itself, and give the picture of what came out."""
    page.goto(address)
    page.get_by_role("button", name="Measure in this browser").click()
    page.locator("#lab-results").wait_for(state="visible", timeout=PATIENCE_MS)
    return page.locator("#lab").screenshot()


def main(registry: str, name: str) -> None:
    """Write the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1120, "height": 900})
        PICTURE.write_bytes(lab(page, f"{registry.rstrip('/')}/artifacts/{name}"))
        browser.close()
    print(PICTURE)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
