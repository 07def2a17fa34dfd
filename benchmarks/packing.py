"""Would stacked models train faster on a CPU? `python -m benchmarks.packing [--json] [--pack P]`.

Trials that differ only in numbers that change no shapes could be trained as one stacked model: each weight
becomes (P, in, out) and each linear layer a batched product. Measured in turns, on the fixed crystals of
`benchmarks.step`:

- `cgcnn`: a step of P models one after the other against one of the stacked model, both written in the same
  few operations of PyTorch, so that they differ in nothing but the stacking; beside them P steps of the CGCNN
  of the suite.
- `crystalformer`: its linear layers alone (all that stacking could speed up: the attention kernel takes each
  model's own queries, keys and values), forward and backward, with AdamW; P times against once, stacked.

A ratio above 1 says that stacking wins.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from baselines.cgcnn import CGCNN, ENTRY, CGCNNConfig
from benchmarks.batch import DATASET, fixed_batch, fixed_store, random_targets
from benchmarks.step import training_step
from crystalformer.allocator import keep_freed_memory
from crystalformer.training.config import TrainConfig
from crystalformer.training.optimizers import build_optimizer

Step = Callable[[], None]


class StackedCGCNN(nn.Module):
    """P models of the published CGCNN as one; features are (P, rows, width), predictions (P, crystals)."""

    def __init__(self, like: list[CGCNN]) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(
            {
                name.replace(".", "/"): nn.Parameter(torch.stack([m.get_parameter(name) for m in like]))
                for name, _ in like[0].named_parameters()
            }
        )
        self.config, self.table, self.centers = like[0].config, like[0].atom_table, like[0].centers

    def forward(self, batch: Any) -> Tensor:
        models = len(self.weights["output/bias"])
        v = self._linear(self.table[batch.numbers].expand(models, -1, -1), "embedding")
        u = torch.exp(-((batch.edge_distances[:, None] / self.config.distance_step - self.centers) ** 2))
        for layer in range(self.config.conv_layers):
            v = self._convolve(v, u, batch.edge_neighbors, f"convolutions/{layer}")
        crystals = torch.zeros(models, len(batch), v.shape[2]).index_add(1, batch.crystal_of_atom, v)
        h = F.softplus(crystals / batch.sizes[:, None])
        return self._linear(F.softplus(self._linear(h, "conv_to_hidden")), "output")[..., 0]

    def _convolve(self, v: Tensor, u: Tensor, neighbors: Tensor, name: str) -> Tensor:
        models, atoms, width = v.shape
        w_i, w_j, w_u = self.weights[f"{name}/linear/weight"].split([width, width, u.shape[1]], dim=2)
        edges = torch.baddbmm(self.weights[f"{name}/linear/bias"][:, None], u.expand(models, -1, -1), w_u.mT)
        z = edges + torch.bmm(v, w_j.mT)[:, neighbors]
        z = z.view(models, atoms, -1, 2 * width) + torch.bmm(v, w_i.mT)[:, :, None]
        z = self._norm(z.flatten(1, 2), f"{name}/edge_norm").view_as(z)
        z_f, z_s = z.chunk(2, dim=-1)
        message = (torch.sigmoid(z_f) * F.softplus(z_s)).sum(dim=2)
        return F.softplus(v + self._norm(message, f"{name}/atom_norm"))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        """Batch normalisation of (P, rows, width): all models' columns side by side in one call."""
        models, rows, width = x.shape
        columns = x.transpose(0, 1).reshape(rows, models * width)
        weight, bias = (self.weights[f"{name}/{part}"].flatten() for part in ("weight", "bias"))
        done = F.batch_norm(columns, None, None, weight, bias, training=True)
        return done.view(rows, models, width).transpose(0, 1)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return torch.baddbmm(self.weights[f"{name}/bias"][:, None], x, self.weights[f"{name}/weight"].mT)


class RecordLinears(TorchFunctionMode):
    """Notes (rows, in, out) of every linear layer that is applied."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, int, int]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.linear:
            x, weight = args[0], args[1]
            self.shapes.append((x.numel() // x.shape[-1], weight.shape[1], weight.shape[0]))
        return function(*args, **(kwargs or {}))


def steps_of(models: list[nn.Module], loss: Callable[[nn.Module], Tensor]) -> Step:
    """A function that trains each of the models for a step; warmed up."""
    optimizers = [build_optimizer(model, TrainConfig()) for model in models]

    def step() -> None:
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss(model).backward()
            optimizer.step()

    for _ in range(2):
        step()
    return step


def cgcnn(pack: int) -> dict[str, Step]:
    """Steps of P models: of the suite, plain, stacked."""
    with TemporaryDirectory() as folder:
        store = fixed_store(Path(folder), DATASET, crystals=128, seed=0)
        batch = ENTRY.batches(store, random_targets(store), CGCNNConfig(), Path(folder))(
            np.arange(len(store))
        )
    models = [CGCNN(CGCNNConfig()) for _ in range(pack)]
    targets = batch.targets[:, 0]
    stacked, plain = StackedCGCNN(models), [StackedCGCNN([model]) for model in models]
    with torch.no_grad():
        apart = torch.cat([model(batch) for model in plain])
        torch.testing.assert_close(stacked(batch), apart, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(models[0].train()(batch)[:, 0], apart[0], rtol=1e-3, atol=1e-3)

    def loss(model: nn.Module) -> Tensor:  # the sum over models, so that each has its own gradient
        return (model(batch) - targets).abs().mean(1).sum()

    def of_the_suite(model: nn.Module) -> Tensor:
        return (model(batch)[:, 0] - targets).abs().mean()

    return {
        "suite": steps_of(models, of_the_suite),
        "plain": steps_of(plain, loss),
        "stacked": steps_of([stacked], loss),
    }


class Linears(nn.Module):
    """The linear layers of P models, each on rows of its own."""

    def __init__(self, shapes: list[tuple[int, int, int]], models: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(models, i, o) / i**0.5 for _, i, o in shapes)
        self.rows = [torch.randn(models, rows, i, requires_grad=True) for rows, i, _ in shapes]

    def forward(self) -> Tensor:
        return torch.stack(
            [torch.bmm(x, w).sum() for x, w in zip(self.rows, self.weights, strict=True)]
        ).sum()


def crystalformer(pack: int) -> dict[str, Step]:
    """Steps of the linear layers of P models: plain, stacked."""
    with RecordLinears() as recorded:
        training_step("cpu", fixed_batch(), without_attention=True)
    shapes = recorded.shapes[: len(recorded.shapes) // 3]  # of the first of its three steps
    plain, stacked = [Linears(shapes, 1) for _ in range(pack)], Linears(shapes, pack)
    return {
        "plain": steps_of(plain, lambda model: model()),
        "stacked": steps_of([stacked], lambda model: model()),
    }


def measure(steps: dict[str, Step], repeat: int) -> dict[str, float]:
    """Medians of wall and CPU seconds of each, taken in turns, and of the CPU ratios to the stacked one."""
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeat):
        for name, step in steps.items():
            started, used = time.perf_counter(), time.process_time()
            step()
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - used)
    result = {f"{name}_s": median(wall[name]) for name in steps}
    result |= {f"{name}_cpu_s": median(cpu[name]) for name in steps}
    for name in steps.keys() - {"stacked"}:
        pairs = zip(cpu[name], cpu["stacked"], strict=True)
        result[f"{name}_to_stacked_cpu"] = median(apart / stacked for apart, stacked in pairs)
    return result


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.packing", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pack", type=int, default=8, help="models in a stack")
    parser.add_argument("--repeat", type=int, default=7, help="steps of each kind")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as the trials do
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    result: dict[str, Any] = {"pack": options.pack, "threads": options.threads}
    for name, made in (("cgcnn", cgcnn), ("crystalformer", crystalformer)):
        result[name] = {
            key: round(value, 4) for key, value in measure(made(options.pack), options.repeat).items()
        }
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
