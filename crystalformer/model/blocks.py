"""One block of the Crystalformer, and how its parameters start."""

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from crystalformer.model.attention import InfinitelyConnectedAttention
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.images import ImageList


class Block(nn.Module):
    """Attention and feed-forward, each added to its input; no normalisation layers (Sec. 4 of the paper).

    x <- x + Output(y),   x <- x + W_2 ReLU(W_1 x + b_1) + b_2
    """

    def __init__(self, config: CrystalformerConfig) -> None:
        super().__init__()
        self.attention = InfinitelyConnectedAttention(config)
        self.expand = nn.Linear(config.width, config.ff_width)  # W_1
        self.contract = nn.Linear(config.ff_width, config.width)  # W_2
        initialise_block(self, config.num_layers)

    def forward(self, x: Tensor, images: ImageList) -> Tensor:
        """Atom features (atoms, width) to features of the same shape."""
        x = x + self.attention(x, images)
        return x + self.contract(functional.relu(self.expand(x)))


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
    head_width = attention.decay.weight.shape[1]
    init.normal_(attention.decay.weight, std=head_width**-0.5)
    if attention.value_encoding is not None:
        basis_size = attention.value_encoding.shape[2]
        # one matrix (width, K) of which each head owns some rows
        init.xavier_uniform_(attention.value_encoding.view(-1, basis_size), gain=basis_size**-0.5)


def initialise_embedding(embedding: nn.Embedding, num_layers: int) -> None:
    """Normal of standard deviation d^(-1/2) (9 L)^(-1/4); the second factor is in the authors' code only."""
    init.normal_(embedding.weight, std=embedding.embedding_dim**-0.5 * (9 * num_layers) ** -0.25)
