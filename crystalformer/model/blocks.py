"""One block of the Crystalformer, and how its parameters start."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional, init

from crystalformer.model.angles import FramedAttention
from crystalformer.model.attention import Attention, InfinitelyConnectedAttention
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.geometry import Geometry
from crystalformer.model.reciprocal import DualSpaceAttention, ReciprocalAttention

ATTENTION: dict[str, Callable[[CrystalformerConfig], Attention]] = {
    "real": InfinitelyConnectedAttention,
    "reci": ReciprocalAttention,
    "multihead": DualSpaceAttention,
    "framed": FramedAttention,
}


class Block(nn.Module):
    """Attention and feed-forward, each added to its input; no normalisation layers (Sec. 4 of the paper).

    x <- x + Output(y),   x <- x + W_2 ReLU(W_1 x + b_1) + b_2

    As ablations, `norm` puts a LayerNorm before attention and feed-forward, on the branch ("pre"), or after
    them, on the sum ("post"). The start is the same in all three.
    """

    def __init__(self, config: CrystalformerConfig, domain: str) -> None:
        super().__init__()
        before, after = config.norm == "pre", config.norm == "post"
        self.norm_before_attention = _norm(config.width, before)
        self.attention = ATTENTION[domain if config.frames == "none" else "framed"](config)
        self.norm_after_attention = _norm(config.width, after)
        self.norm_before_feed_forward = _norm(config.width, before)
        self.expand = nn.Linear(config.width, config.ff_width)  # W_1
        self.contract = nn.Linear(config.ff_width, config.width)  # W_2
        self.norm_after_feed_forward = _norm(config.width, after)
        initialise_block(self, config.num_layers)

    def calibrate(self, x: Float[Tensor, "atoms width"]) -> None:
        """Sets m and s of sigma from the atom features (atoms, width) that enter the block."""
        self.attention.calibrate(self.norm_before_attention(x))

    def forward(self, x: Float[Tensor, "atoms width"], geometry: Geometry) -> Float[Tensor, "atoms width"]:
        """Atom features (atoms, width) to features of the same shape."""
        x = self.norm_after_attention(x + self.attention(self.norm_before_attention(x), geometry))
        hidden = functional.relu(self.expand(self.norm_before_feed_forward(x)))
        return self.norm_after_feed_forward(x + self.contract(hidden))


def _norm(width: int, wanted: bool) -> nn.Module:
    return nn.LayerNorm(width) if wanted else nn.Identity()


@torch.no_grad()
def initialise_block(block: Block, num_layers: int) -> None:
    """The initialisation of the authors' code, after T-Fixup (Huang et al., ICML 2020).

    Small enough a start lets the network train without normalisation layers and without warm-up: matrices on
    the residual path shrink by 0.67 L^(-1/4), while queries and keys keep their size.
    """
    attention = block.attention
    residual = (attention.value, attention.output, block.expand, block.contract)
    for linear in (attention.query, attention.key, *residual):
        init.xavier_uniform_(linear.weight)
        init.zeros_(linear.bias)
    for linear in residual:
        linear.weight *= 0.67 * num_layers**-0.25
    for weight in attention.decay.parameters():
        init.normal_(weight, std=weight.shape[1] ** -0.5)  # its second axis is a head's features
    if attention.value_encoding is not None:
        _initialise_encoding(attention.value_encoding)
    if isinstance(attention, FramedAttention):
        for axis in attention.angle_encoding:
            _initialise_encoding(axis)


def _initialise_encoding(encoding: Tensor) -> None:
    """(heads, head width, K): one matrix (width, K), of which each head owns some rows."""
    basis_size = encoding.shape[2]
    init.xavier_uniform_(encoding.view(-1, basis_size), gain=basis_size**-0.5)


def initialise_embedding(embedding: nn.Embedding, num_layers: int) -> None:
    """Normal of standard deviation d^(-1/2) (9 L)^(-1/4); the second factor is in the authors' code only."""
    init.normal_(embedding.weight, std=embedding.embedding_dim**-0.5 * (9 * num_layers) ** -0.25)
