"""TensorBoard: the scalars of a run while it runs, and one HParams table over all trials of all models.

The HParams plugin takes its columns from a summary at the root of the log folder and, without one, from
whichever trial it reads first; a search that mixes models therefore needs the union of their columns
written there.
"""

import hashlib
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub import dtypes
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hp
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.util import tensor_util
from torch import nn
from torch.utils.tensorboard import FileWriter

from crystalformer.training.loop import EpochRecord
from suite.space.domains import Choice, Domain, Float, Integer

_SCALARS = {
    "train_mae": "mean absolute error over the training batches of the epoch, each before its step",
    "val_mae": "mean absolute error on the validation split, of the weights that are kept",
    "val_mae_raw": "mean absolute error on the validation split, of the last step's weights",
    "lr": "learning rate of the epoch's last step",
    "grad_norm": "gradient norm before clipping, mean over the epoch",
    "crystals_per_s": "training crystals per second",
}


class TrialLog:
    """Event files of one run: scalars per epoch and the row of the HParams table.

    Args:
        folder: the run's own folder below the TensorBoard folder.
        run_id: shown as the name of the row.
        hparams: the row's cells; empty for a run that is not a trial.
        epochs_done: epochs of earlier sessions; what those wrote beyond is hidden.
    """

    def __init__(
        self, folder: Path, run_id: str, hparams: Mapping[str, object], epochs_done: int = 0
    ) -> None:
        continued = any(folder.glob("events.out.tfevents.*"))
        self._writer = FileWriter(str(folder), flush_secs=5)
        self._listed = bool(hparams)
        # TensorBoard hides what earlier sessions wrote from this step on; the first start hides nothing, but
        # without it the second would count as the first.
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(session_log=start), step=epochs_done + 1)
        if self._listed and not continued:
            self._writer.add_summary(hp.hparams_pb({k: _cell(v) for k, v in hparams.items()}, run_id))

    def epoch(self, record: EpochRecord, unit: str | None) -> None:
        """Write an epoch's scalars; errors are in the target's unit."""
        for tag, meaning in _SCALARS.items():
            description = f"{meaning}, in {unit}" if unit and "mae" in tag else meaning
            summary = scalar_pb(tag, getattr(record, tag), description=description)
            self._writer.add_summary(summary, record.epoch)

    def histograms(self, model: nn.Module, epoch: int) -> None:
        """Write those of all weights, and of the gradients of the epoch's last step, after clipping."""
        for name, parameter in model.named_parameters():
            for group, values in (("weights", parameter), ("gradients", parameter.grad)):
                if values is not None:
                    numbers = values.detach().double().cpu().numpy()
                    self._writer.add_summary(histogram_pb(f"{group}/{name}", numbers), epoch)

    def close(self) -> None:
        """Mark the row as ended and close the files."""
        if self._listed:
            info = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
            content = plugin_data_pb2.HParamsPluginData(session_end_info=info)
            summary = scalar_pb(metadata.SESSION_END_INFO_TAG, 0.0)
            summary.value[0].metadata.CopyFrom(metadata.create_summary_metadata(content))
            self._writer.add_summary(summary)
        self._writer.close()


def write_columns(
    folder: Path, models: Sequence[str], domains: Mapping[str, Domain], unit: str | None
) -> None:
    """Write the HParams columns of an experiment: the model, every hyper-parameter of any model, the metrics.

    Args:
        folder: the experiment's TensorBoard folder.
        models: keys of all models, also of those with nothing to search.
        domains: hyper-parameter, as "<model>/<name>", -> what is searched.
        unit: of the errors.
    """
    columns = [hp.HParam("model", hp.Discrete(sorted(models)))]
    columns += [hp.HParam(name, _range(domain)) for name, domain in domains.items()]
    suffix = f" ({unit})" if unit else ""
    metrics = [
        hp.Metric("val_mae", display_name=f"validation MAE{suffix}"),
        hp.Metric("train_mae", display_name=f"training MAE{suffix}"),
    ]
    writer = FileWriter(str(folder))
    writer.add_summary(hp.hparams_config_pb(columns, metrics))
    writer.close()


def write_pictures(folder: Path, pictures: Mapping[str, Path]) -> None:
    """Show PNG files in the Images tab of a run; those that it shows already are not written again.

    Args:
        folder: the run's own folder below the TensorBoard folder.
        pictures: title -> file.
    """
    for title, path in pictures.items():
        data = path.read_bytes()
        suffix = f".{title}-{hashlib.sha256(data).hexdigest()[:8]}"
        if any(folder.glob(f"events.out.tfevents.*{suffix}")):
            continue
        width, height = struct.unpack(">II", data[16:24])  # of a PNG's first chunk
        shown = [str(width).encode(), str(height).encode(), data]
        content = tensor_util.make_tensor_proto(shown, dtype=dtypes.string)
        meaning = create_summary_metadata(display_name=title, description="", converted_to_tensor=True)
        summary = Summary(value=[Summary.Value(tag=title, tensor=content, metadata=meaning)])
        writer = FileWriter(str(folder), filename_suffix=suffix)
        writer.add_summary(summary)
        writer.close()


def _range(domain: Domain) -> hp.Domain:
    """A domain as the HParams plugin states it; choices of several types are shown as text."""
    match domain:
        case Integer():
            return hp.IntInterval(domain.low, domain.high)
        case Float():
            return hp.RealInterval(domain.low, domain.high)
        case Choice():
            return hp.Discrete([str(value) for value in domain.values])
    raise TypeError(f"domain: expected Integer, Float or Choice, got {domain!r}")


def _cell(value: object) -> float | bool | str:
    return value if isinstance(value, bool | int | float | str) else str(value)


def hparam_cells(
    model: str, params: Mapping[str, object], domains: Mapping[str, Domain]
) -> dict[str, object]:
    """A trial's row of the table: the model's name and its searched values under the columns' names."""
    cells = {
        f"{model}/{name}": str(value) if isinstance(domains[name], Choice) else value
        for name, value in params.items()
    }
    return {"model": model, **cells}
