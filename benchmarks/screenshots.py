"""The pictures of the README: `python -m benchmarks.screenshots RUN [--ablation RUN] [--out docs/images]`.

Headless Chromium looks at the report and the TensorBoard of a finished run, and at the page of an ablation.
The pictures are PNG files of 128 colours, which keeps them small. Needs `chromium`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

from PIL import Image

WIDTH, HEIGHT = 1280, 800
COLOURS = 128
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-sync",
)
PATIENCE_S = 120  # for TensorBoard to answer


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("run", type=Path, help="a finished run, such as runs/quickstart")
    parser.add_argument("--ablation", type=Path, help="likewise, such as runs/ablation_quickstart")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the pictures")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    page = (options.run / "report" / "index.html").resolve()
    take(page.as_uri(), options.out / "report.png")
    with tensorboard(options.run / "tensorboard") as address:
        take(
            f"{address}/?darkMode=false&tagFilter=val_mae&smoothing=0#timeseries",
            options.out / "tensorboard.png",
        )
    if options.ablation is not None:
        take(ablation_page(options.ablation).as_uri(), options.out / "ablation.png")
    for path in sorted(options.out.glob("*.png")):
        print(f"{path}: {path.stat().st_size:,} bytes")


def ablation_page(run: Path) -> Path:
    """The page of an ablation, built anew where the command puts it."""
    subprocess.run([sys.executable, "-m", "reports", str(run), "--ablation"], check=True, capture_output=True)
    return (run / "ablation_report" / "index.html").resolve()


def take(address: str, path: Path) -> None:
    """Writes a picture of the page at an address."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("chromium: expected to be installed, found none")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        command = [browser, *FLAGS, f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"]
        command += [f"--screenshot={shot}", "--virtual-time-budget=60000", address]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        Image.open(shot).convert("RGB").quantize(COLOURS).save(path, optimize=True)


@contextmanager
def tensorboard(logs: Path) -> Iterator[str]:
    """The address of a TensorBoard on these logs, which runs until the context ends."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers and has read the runs."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit("TensorBoard ended by itself")
        try:
            with urllib.request.urlopen(f"{address}/data/runs", timeout=30) as answer:
                if answer.read().strip() not in (b"", b"[]"):
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.5)
    sys.exit(f"TensorBoard did not answer for {PATIENCE_S} s")


if __name__ == "__main__":
    main()
