"""The activation of SchNet and MEGNet: softplus, moved to pass through the origin."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def shifted_softplus(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """ssp(x) = ln(e^x / 2 + 1 / 2) = softplus(x) - ln 2. MEGNet calls it softplus2."""
    return F.softplus(x).sub_(math.log(2))
