"""A page in headless Chromium, at any width, light or dark: what a script finds there, a picture, a print."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
]
FRAME = """<!doctype html><meta name="color-scheme" content="light dark"><style>html, body {{ margin: 0 }}
iframe {{ border: 0; width: {width}px; height: {height}px; display: block }}</style>
<iframe src="{page}"></iframe><pre id="found"></pre>
<script>addEventListener("message", (event) => {{
  document.getElementById("found").textContent = event.data; }})</script>"""
SCRIPT = """<script>addEventListener("load", async () => {
  let found;
  try { found = await (async () => { %s })(); } catch (error) { found = { error: String(error) }; }
  parent.postMessage(JSON.stringify(found), "*");
});</script>"""


def run_in_page(page: Path, script: str, folder: Path, width: int = 1200, dark: bool = False) -> Any:
    """What the body of an asynchronous function returns when it runs in the page, as JSON.

    The page is shown in a frame, since a window of Chromium is never narrower than 500 pixels.
    """
    copy, frame = folder / "copy.html", folder / "frame.html"
    copy.write_text(page.read_text(encoding="utf-8") + SCRIPT % script, encoding="utf-8")
    frame.write_text(FRAME.format(width=width, height=900, page=copy.name), encoding="utf-8")
    said = chromium(frame, folder, ["--dump-dom", "--virtual-time-budget=20000"], dark=dark)
    text = re.search(r'<pre id="found">(.*?)</pre>', said, re.DOTALL)
    assert text, said[-2000:]
    assert text.group(1), "the page sent nothing"
    found = json.loads(unescape(text.group(1)))
    assert not (isinstance(found, dict) and "error" in found), found
    return found


def screenshot(
    address: str | Path, path: Path, width: int, height: int = 900, dark: bool = False, wait_ms: int = 0
) -> Path:
    """A picture of the page at an address, at least 500 pixels wide; `wait_ms`: for what it loads later."""
    flags = [f"--screenshot={path}", f"--window-size={width},{height}"]
    flags += [f"--virtual-time-budget={wait_ms}"] if wait_ms else []
    chromium(address, path.parent, flags, dark=dark)
    return path


def printed(page: Path, path: Path) -> Path:
    """The page as a PDF."""
    chromium(page, path.parent, [f"--print-to-pdf={path}", "--no-pdf-header-footer"])
    return path


def chromium(address: str | Path, folder: Path, flags: list[str], dark: bool = False) -> str:
    """Runs Chromium once with a profile of its own below `folder`; what it prints."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    where = address.as_uri() if isinstance(address, Path) else address
    command = [browser, *FLAGS, *scheme, f"--user-data-dir={folder / 'profile'}", *flags, where]
    done = subprocess.run(command, capture_output=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr.decode()[-800:]
    return done.stdout.decode()
