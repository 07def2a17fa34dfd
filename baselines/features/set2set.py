"""Set2Set: a set of vectors as one vector, by repeated attention."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from crystalformer.layers.segments import segment_ids, segment_sum


class Set2Set(nn.Module):
    """Reads each set T times; q* of the last time is the result.

    O. Vinyals, S. Bengio and M. Kudlur, ICLR 2016, Eqs. 3-7, in the form of MEGNet, which projects first:

        m_k = W_m x_k + b_m
        q_t = LSTM(q*_{t-1}),  q*_0 = 0
        a_k,t = softmax over k of m_k · q_t
        q*_t = [q_t ‖ Σ_k a_k,t m_k]

    The gates of the LSTM are hard sigmoids, clip(z / 5 + 1 / 2, 0, 1). An empty set is read as zeros.

    Args:
        in_width: entries of x.
        width: entries of m and q; the result has twice as many.
        steps: T.
        carries_cell: whether the cell of the LSTM goes from one step to the next. If not, each step starts
            from an empty cell and the forget gate has no effect.
    """

    def __init__(self, in_width: int, width: int, steps: int, carries_cell: bool) -> None:
        super().__init__()
        self.steps, self.carries_cell = steps, carries_cell
        self.project = nn.Linear(in_width, width)
        self.gates = nn.Linear(2 * width, 4 * width)  # input, forget, candidate, output
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Projection as Glorot, gates orthogonal, biases 0 but 1 for the forget gate."""
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.orthogonal_(self.gates.weight)
        for layer in (self.project, self.gates):
            nn.init.zeros_(layer.bias)
        nn.init.ones_(self.gates.bias.chunk(4)[1])

    def forward(
        self, x: Float[Tensor, "rows in_width"], sizes: Int[Tensor, " sets"]
    ) -> Float[Tensor, "sets twice_width"]:
        """q* of each set; x has set after set, of `sizes` rows."""
        m = self.project(x)
        result = m.new_zeros(len(sizes), 2 * m.shape[1])
        cell = m.new_zeros(len(sizes), m.shape[1])
        sets = segment_ids(sizes)
        for _ in range(self.steps):
            opened, kept, candidate, shown = self.gates(result).chunk(4, dim=1)
            new = hard_sigmoid(opened) * torch.tanh(candidate)
            cell = hard_sigmoid(kept) * cell + new if self.carries_cell else new
            q = hard_sigmoid(shown) * torch.tanh(cell)
            result = torch.cat([q, attended(m, q, sets, sizes)], dim=1)
        return result


def attended(
    m: Float[Tensor, "rows width"],
    q: Float[Tensor, "sets width"],
    sets: Int[Tensor, " rows"],
    sizes: Int[Tensor, " sets"],
) -> Float[Tensor, "sets width"]:
    """Mean of the rows of `m` of each set with weights exp(m · q)."""
    logits = (m * F.embedding(sets, q)).sum(dim=1)
    highest = torch.segment_reduce(logits.detach(), "max", lengths=sizes)
    weights = torch.exp(logits - highest[sets])[:, None]
    # The total is at least 1, unless there are no rows.
    return segment_sum(m * weights, sizes) / segment_sum(weights, sizes).clamp(min=1)


def hard_sigmoid(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """clip(x / 5 + 1 / 2, 0, 1), the hard sigmoid of Keras; that of PyTorch is another."""
    return (x / 5 + 0.5).clamp(0, 1)
