"""Reads the weights of the authors' implementation (github.com/omron-sinicx/crystalformer)."""

import dataclasses
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.mixed_sites import ELEMENTS
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.kernels.dispatch import triton_interprets

# ours: theirs, inside a block
_BLOCK_NAMES = {
    "attention.query.weight": "self_attn.q_proj_weight",
    "attention.key.weight": "self_attn.k_proj_weight",
    "attention.value.weight": "self_attn.v_proj_weight",
    "attention.query.bias": "self_attn.in_proj_bias",
    "attention.key.bias": "self_attn.in_proj_bias",
    "attention.value.bias": "self_attn.in_proj_bias",
    "attention.decay.weight": "self_attn.lattice_pos_weights",
    "attention.value_encoding": "self_attn.pe_dist_proj",
    "attention.output.weight": "self_attn.out_proj.weight",
    "attention.output.bias": "self_attn.out_proj.bias",
    "expand.weight": "linear1.weight",
    "expand.bias": "linear1.bias",
    "contract.weight": "linear2.weight",
    "contract.bias": "linear2.bias",
}
_OUTER_NAMES = {
    "embedding.weight": "input_embeddings.weight",
    "head.0.weight": "mlp.0.weight",
    "head.0.bias": "mlp.0.bias",
    "head.2.weight": "mlp.3.weight",
    "head.2.bias": "mlp.3.bias",
}
_QKV = ("query", "key", "value")  # the order within in_proj_bias
_PSI = "self_attn.pe_dist_proj"
_HEADS = 8  # published; used where no pe_dist_proj says otherwise
_CRYSTALS_AT_A_TIME = 32  # in a batch of predictions, which bounds their memory


def evaluate(
    state: Mapping[str, Any],
    crystals: Sequence[tuple[Any, Any, Any]],
    *,
    domain: str,
    lattice_range: int,
    adaptive: bool,
    gauss_scale: Any | None = None,
    dtype: torch.dtype | str,
    kernel: str = "auto",
    drop_beta: bool = False,
) -> Float[np.ndarray, "crystals targets"]:
    """Predictions of the authors' model from its weights.

    Numbers of blocks, features, radial functions and targets follow from the shapes in `state`, the number of
    heads from `pe_dist_proj` (8 where there is none); r0, rb0, a, b and r_max are the published ones.

    Args:
        state: weights by the authors' names, see `load_official_state`.
        crystals: (atomic numbers (atoms,), Cartesian positions (atoms, 3) in Å, lattice rows (3, 3) in Å) of
            each crystal. Positions are used as given, not wrapped into the cell. Instead of the numbers,
            (atoms, elements) may give the shares of the elements on each site, hydrogen first.
        domain: "real", "reci", "multihead", or several joined by "-", which the blocks take in turn.
        lattice_range: R of the box of images, and of the box of waves.
        adaptive: the rule of the authors' CUDA kernels: a box of images for each atom and head, of which R is
            the least R_d. Without it, as in their PyTorch code, R is the box of all.
        gauss_scale: (blocks, 2) rows [1/s, -m]. By default those in `state`; where it has none, the
            statistics of `crystals`, taken as the first training batch.
        dtype: of the computation, such as torch.float64 or "float64".
        kernel: implementation of attention in real space. With "gpu" everything is computed on the GPU; where
            there is none, on the CPU with TRITON_INTERPRET=1 in the environment, else it is an error.
        drop_beta: leave psi out, as the authors' PyTorch code does in "multihead", unlike their CUDA code.

    Returns:
        In scaled units.

    Raises:
        ValueError: an argument is impossible or a weight is missing, unknown or of the wrong shape; the
            message names it.
    """
    precision = _dtype(dtype)
    weights = {name: _tensor(value) for name, value in state.items()}
    arrays = [_arrays(index, crystal) for index, crystal in enumerate(crystals)]
    if not arrays:
        raise ValueError("crystals: expected at least one, got none")
    config = _config(weights, domain, operator.index(lattice_range), adaptive, kernel)
    if drop_beta:
        config = dataclasses.replace(config, value_basis=0)
        weights = {name: value for name, value in weights.items() if not name.endswith(_PSI)}
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
        model = Crystalformer(config).to(precision).eval()
    load_official_state(model, weights, gauss_scale)
    device = "cuda" if kernel == "gpu" and not triton_interprets() else "cpu"
    model = model.to(device)
    if not model.calibrated:
        model.calibrate(_batch(arrays, 0, precision).to(device))
    starts = range(0, len(arrays), _CRYSTALS_AT_A_TIME)
    with torch.no_grad():
        parts = [model(_batch(arrays[s : s + _CRYSTALS_AT_A_TIME], s, precision).to(device)) for s in starts]
    return torch.cat(parts).cpu().numpy()


def load_official_state(
    model: Crystalformer, state: Mapping[str, Any], gauss_scale: Any | None = None
) -> None:
    """Copies a state dict of the authors' code into a model of the same shape.

    Args:
        model: receives the weights; its dtype and device stay.
        state: arrays or tensors by the authors' names, such as "encoder.layers.0.self_attn.q_proj_weight".
            Reciprocal blocks have no use for "pe_dist_proj" and no block has for "atten_scale"; both may be
            there.
        gauss_scale: (blocks, 2) rows [1/s, -m]. By default those in `state`. Where there are none, or
            zeros, which mean "not set" there, the model is left without m and s, to be calibrated.

    Raises:
        ValueError: a name is missing or unexpected, or an array has not the shape of the model's.
    """
    theirs = {name: _tensor(value) for name, value in state.items()}
    scales = []
    for block, domain in enumerate(model.config.domains):
        prefix = f"encoder.layers.{block}.self_attn"
        scales.append(theirs.pop(f"{prefix}.gauss_scale", torch.zeros(2)))
        theirs.pop(f"{prefix}.atten_scale", None)  # unused in the authors' code
        if domain == "reci":
            theirs.pop(f"{prefix}.pe_dist_proj", None)
    if gauss_scale is not None:
        scales = list(_tensor(gauss_scale))
    if len(scales) != len(model.blocks):
        raise ValueError(f"gauss_scale: expected {len(model.blocks)} rows, one per block, got {len(scales)}")
    wrong = [tuple(row.shape) for row in scales if row.shape != (2,)]
    if wrong:
        raise ValueError(f"gauss_scale: expected rows [1/s, -m], got one of shape {wrong[0]}")

    names = _official_names(model)
    missing, unexpected = sorted(set(names.values()) - theirs.keys()), sorted(theirs.keys() - names.values())
    if missing or unexpected:
        raise ValueError(
            f"state: expected the weights of {len(model.blocks)} blocks under the authors' names; "
            f"missing: {missing or 'none'}; unexpected: {unexpected or 'none'}"
        )
    ours = model.state_dict()
    for name, official in names.items():
        ours[name] = _converted(name, official, theirs[official], ours[name].shape)
    for block, (inverse_std, minus_mean) in enumerate(scales):
        is_set = bool(inverse_std > 0)
        statistics = {"mean": -minus_mean, "std": 1 / inverse_std}
        for name in statistics.keys() & dict(model.blocks[block].attention.decay.named_buffers()).keys():
            value = statistics[name] if is_set else torch.tensor(torch.nan)
            ours[f"blocks.{block}.attention.decay.{name}"] = value
    model.load_state_dict(ours)


def _official_names(model: Crystalformer) -> dict[str, str]:
    """The authors' name of each parameter of the model."""
    names = dict(_OUTER_NAMES)
    for block in range(len(model.blocks)):
        for ours, theirs in _BLOCK_NAMES.items():
            names[f"blocks.{block}.{ours}"] = f"encoder.layers.{block}.{theirs}"
    parameters = [name for name, _ in model.named_parameters()]
    foreign = [name for name in parameters if name not in names]
    if foreign:
        raise ValueError(f"model: expected the authors' layers only, got {', '.join(foreign)}")
    return {name: names[name] for name in parameters}


def _converted(name: str, official: str, value: Tensor, shape: torch.Size) -> Tensor:
    """The authors' array in our layout: biases of q, k, v apart, an embedding row per element, w per head."""
    if official.endswith("in_proj_bias") and len(value) == 3 * shape[0]:
        value = value.chunk(3)[[f".{part}." in name for part in _QKV].index(True)]
    elif name == "embedding.weight":
        value = value.T
    elif name.endswith("decay.weight") and value.numel() == shape.numel():
        value = value.reshape(shape)
    elif name.endswith("value_encoding") and len(value) == 1:
        value = value.squeeze(0)
    if value.shape != shape:
        raise ValueError(f"state: {official}: expected {tuple(shape)} for {name}, got {tuple(value.shape)}")
    return value


def _config(
    state: Mapping[str, Tensor], domain: str, lattice_range: int, adaptive: bool, kernel: str
) -> CrystalformerConfig:
    """The configuration that has the shapes of `state`."""
    found = (re.match(r"encoder\.layers\.(\d+)\.", name) for name in state)
    blocks = {int(match[1]) for match in found if match}
    if not blocks:
        raise ValueError('state: expected weights of blocks, named "encoder.layers.0..." and so on, got none')
    encodings = {
        block: _shape(state, name, 4)
        for block in sorted(blocks)
        if (name := f"encoder.layers.{block}.{_PSI}") in state
    }
    width, elements = _shape(state, "input_embeddings.weight", 2)
    config = CrystalformerConfig(
        num_layers=max(blocks) + 1,
        width=width,
        heads=next((shape[1] for shape in encodings.values()), _HEADS),
        ff_width=_shape(state, "encoder.layers.0.linear1.weight", 2)[0],
        value_basis=0,
        lattice_range="adaptive" if adaptive else lattice_range,
        minimum_box=lattice_range,
        domain=domain,
        reciprocal_range=lattice_range,
        elements=elements,
        output_width=_shape(state, "mlp.0.weight", 2)[0],
        targets=_shape(state, "mlp.3.weight", 2)[0],
        kernel=kernel,
    )
    used = [shape[3] for block, shape in encodings.items() if config.domains[block] != "reci"]
    return dataclasses.replace(config, value_basis=max(used, default=0))


def _shape(state: Mapping[str, Tensor], name: str, axes: int) -> torch.Size:
    if name not in state:
        raise ValueError(f"state: expected {name!r}, got no such key")
    shape = state[name].shape
    if len(shape) != axes:
        raise ValueError(f"state: {name}: expected {axes} axes, got shape {tuple(shape)}")
    return shape


def _tensor(value: Any) -> Tensor:
    return value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    try:
        found = dtype if isinstance(dtype, torch.dtype) else vars(torch).get(np.dtype(dtype).name)
    except TypeError:
        found = None
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype: expected a floating-point type such as torch.float64, got {dtype!r}")
    return found


def _arrays(index: int, crystal: tuple[Any, Any, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers (atoms,) int64 or shares (atoms, 118), positions and lattice of one crystal, float64."""
    if len(crystal) != 3:
        raise ValueError(
            f"crystals[{index}]: expected numbers, positions and lattice, got {len(crystal)} items"
        )
    numbers, positions, lattice = (_tensor(values) for values in crystal)
    if numbers.ndim == 2 and len(numbers) and 0 < numbers.shape[1] <= ELEMENTS:
        numbers = functional.pad(numbers.double(), (0, ELEMENTS - numbers.shape[1]))
    elif numbers.ndim != 1 or not len(numbers) or bool((numbers != numbers.long()).any()):
        raise ValueError(
            f"crystals[{index}]: numbers: expected whole numbers (atoms,), got {numbers.tolist()}"
        )
    for name, values, shape in (("positions", positions, (len(numbers), 3)), ("lattice", lattice, (3, 3))):
        if values.shape != shape:
            raise ValueError(f"crystals[{index}]: {name}: expected shape {shape}, got {tuple(values.shape)}")
    return numbers if numbers.ndim == 2 else numbers.long(), positions.double(), lattice.double()


def _one_hot(numbers: Tensor) -> Tensor:
    """(atoms, 118); impossible numbers, which the model refuses, count as the nearest element."""
    return functional.one_hot(numbers.clamp(1, ELEMENTS) - 1, ELEMENTS).double()


def _batch(crystals: Sequence[tuple[Tensor, Tensor, Tensor]], first: int, dtype: torch.dtype) -> CrystalBatch:
    """Crystals as a batch; `first` is the place of the first one among those given."""
    species, positions, lattices = zip(*crystals, strict=True)
    occupancy = None
    if any(each.ndim == 2 for each in species):
        occupancy = torch.cat([each if each.ndim == 2 else _one_hot(each) for each in species]).to(dtype)
    return CrystalBatch(
        numbers=torch.cat([each.argmax(1) + 1 if each.ndim == 2 else each for each in species]),
        positions=torch.cat(positions).to(dtype),
        lattices=torch.stack(lattices).to(dtype),
        sizes=torch.tensor([len(each) for each in species]),
        targets=torch.zeros(len(crystals), 1, dtype=dtype),
        indices=torch.arange(first, first + len(crystals)),
        occupancy=occupancy,
    )
