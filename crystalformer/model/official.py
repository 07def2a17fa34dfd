"""Reads the weights of the authors' implementation (github.com/omron-sinicx/crystalformer)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crystalformer.model.crystalformer import Crystalformer

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


def load_official_state(
    model: Crystalformer, state: Mapping[str, Any], gauss_scale: Any | None = None
) -> None:
    """Copies a state dict of the authors' code into a model of the same shape.

    Args:
        model: receives the weights; its dtype and device stay.
        state: arrays or tensors by the authors' names, such as "encoder.layers.0.self_attn.q_proj_weight".
        gauss_scale: (blocks, 2) rows [1/s, -m]. By default those in `state`. Where there are none, or
            zeros, which mean "not set" there, the model is left without m and s, to be calibrated.

    Raises:
        ValueError: a name is missing or unexpected, or an array has not the shape of the model's.
    """
    theirs = {name: torch.as_tensor(np.array(value)) for name, value in state.items()}
    scales = []
    for block in range(len(model.blocks)):
        scales.append(theirs.pop(f"encoder.layers.{block}.self_attn.gauss_scale", torch.zeros(2)))
        theirs.pop(f"encoder.layers.{block}.self_attn.atten_scale", None)  # unused in the authors' code
    if gauss_scale is not None:
        scales = list(torch.as_tensor(np.array(gauss_scale)))
    if len(scales) != len(model.blocks):
        raise ValueError(f"gauss_scale: expected {len(model.blocks)} rows, one per block, got {len(scales)}")

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
        ours[f"blocks.{block}.attention.decay.mean"] = -minus_mean if is_set else torch.tensor(torch.nan)
        ours[f"blocks.{block}.attention.decay.std"] = 1 / inverse_std if is_set else torch.tensor(torch.nan)
    model.load_state_dict(ours)


def _official_names(model: Crystalformer) -> dict[str, str]:
    """The authors' name of each parameter of the model."""
    names = dict(_OUTER_NAMES)
    for block in range(len(model.blocks)):
        for ours, theirs in _BLOCK_NAMES.items():
            names[f"blocks.{block}.{ours}"] = f"encoder.layers.{block}.{theirs}"
    return {ours: names[ours] for ours, _ in model.named_parameters()}


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
