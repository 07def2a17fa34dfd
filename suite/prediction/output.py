"""Predictions as text for people and as CSV for programs, row after row as they come."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from suite.prediction.predictor import Prediction

COLUMNS = ("file", "id", "target", "value", "unit", "uncertainty", "model", "warning", "error")
Output = Callable[[Path, Sequence[Prediction]], None]  # file, and the predictions of one crystal of it


def csv_output(file: TextIO) -> Output:
    """Writes the header now and then a row for every crystal and target."""
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()

    def write(path: Path, predictions: Sequence[Prediction]) -> None:
        for prediction in predictions:
            numbers = {name: _number(getattr(prediction, name)) for name in ("value", "uncertainty")}
            writer.writerow({"file": path, **vars(prediction), **numbers, "unit": prediction.unit or ""})

    return write


def text_output(file: TextIO) -> Output:
    """Writes a line for every crystal and target, and one for what there is to say of it."""

    def write(path: Path, predictions: Sequence[Prediction]) -> None:
        first = predictions[0]
        name = str(path) if first.id in ("", path.stem) else f"{path} {first.id}"
        if first.error and len({prediction.error for prediction in predictions}) == 1:
            print(f"{name}  error: {first.error}", file=file)
            return
        for prediction in predictions:
            print(f"{name}  {prediction.target}  {_text(prediction)}", file=file)
        for warning in dict.fromkeys(p.warning for p in predictions if p.warning):
            print(f"  warning: {warning}", file=file)

    return write


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.8g}"


def _text(prediction: Prediction) -> str:
    if prediction.error:
        return f"error: {prediction.error}"
    # as many digits as the uncertainty has, to two of its own
    half_width = prediction.uncertainty
    digits = max(0, 1 - math.floor(math.log10(half_width))) if half_width > 0 else 6
    return f"{prediction.value:.{digits}f} ± {half_width:.{digits}f} {prediction.unit or ''}".rstrip()
