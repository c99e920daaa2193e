"""The pictures of README and docs: the page of the demo, a race, and the strategies' sample efficiency.

``docs/report.png`` is the head of the demo's page in headless Chromium, ``docs/pictures/images_seen.png`` the figure
of a racing search on Fashion-MNIST, ``docs/sample_efficiency.png`` is drawn from the kept results. A run that is
missing is made first: the demo in a few minutes, the race in an hour or two. ``docs/pictures.py`` draws the rest.
"""

from __future__ import annotations

import argparse
import base64
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS, PAGE = ROOT / "docs", "report.html"
WIDTH, HEIGHT = 1225, 750
SEARCH = "search fashion-mnist --params 300e3 --batch-size 50 --objective loss --racing -n 200"


def main() -> None:
    """Make the pictures that are asked for, by default all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["report", "images_seen", "sample_efficiency"])
    parser.add_argument("--demo", type=Path, default=Path("nasformer-demo"), help="folder of the demo")
    parser.add_argument("--race", type=Path, default=Path("runs/fashion-race"), help="folder of the search")
    options = parser.parse_args()
    if "report" in options.only:
        _made(options.demo, ["demo"])
        photograph(options.demo / PAGE, DOCS / "report.png")
    if "images_seen" in options.only:
        _made(options.race, ["train", "fashion-mnist"], shlex.split(SEARCH))
        shutil.copy(options.race / "figures" / "images-seen.png", DOCS / "pictures" / "images_seen.png")
    if "sample_efficiency" in options.only:
        subprocess.run([sys.executable, ROOT / "benchmarks" / "sample_efficiency.py", "--draw"], check=True)


def _made(folder: Path, *commands: Sequence[str]) -> None:
    """Run the commands, the last of them into a folder, unless its page is there."""
    if (folder / PAGE).is_file():
        return
    *before, last = commands
    for command in [*before, [*last, "--out", str(folder)]]:
        subprocess.run([sys.executable, "-m", "nasformer", *command], check=True)


def photograph(page: Path, picture: Path) -> None:
    """Write the head of a page as a picture."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for option in ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={profile}"):
            options.add_argument(option)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            driver.get(page.resolve().as_uri())
            picture.write_bytes(base64.b64decode(driver.get_screenshot_as_base64()))
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
