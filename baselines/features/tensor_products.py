r"""Products of features with spherical harmonics of an edge, weighted by a network of its length: eComFormer.

The layer is `FullyConnectedTensorProduct` of e3nn (Geiger and Smidt, arXiv:2207.09453). Its weights come
from two layers of the edge's features. With s scalars x_u, v vectors (l = 1) and v tensors (l = 2), real
harmonics Y_l of |Y_l|² = 2l + 1, and the weights w(e) of one edge:

    from scalars:  out_w^l = s^-½ Σ_u w_uw^l(e) x_u Y_l                                       l = 0, 1, 2
    to scalars:    out_w = (s + 2v)^-½ Σ_l Σ_u w_uw^l(e) (x_u^l · Y_l) (2l + 1)^-½

    w(e) = W_2 softplus(W_1 e + b_1) + b_2

The factors are those of irrep_normalization="component" and path_normalization="element"; there is no other
Clebsch-Gordan coefficient in these products than that of the scalar product. Messages of an edge are averaged
over the edges of the atom that receives.

w(e) has (s + 2v) s entries for every edge, 18,432 with s = 128: it is never made. What comes from scalars is
h · (W_2 x) with h = softplus(W_1 e + b_1), where W_2 x is done once per atom. What goes to scalars is
W_2 (Σ_e h x), where the sum over the edges of an atom comes first.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.features.distinct import distinct
from baselines.features.edge_linear import rows_of
from crystalformer.layers.segments import segment_sum

Harmonics = tuple[Float[Tensor, "edges 3"], Float[Tensor, "edges 5"]]
Features = tuple[Float[Tensor, "atoms s"], Float[Tensor, "atoms v 3"], Float[Tensor, "atoms v 5"]]


def harmonics(vectors: Float[Tensor, "edges 3"]) -> Harmonics:
    """Y_1 and Y_2 of vectors of any length; 0 where that is 0."""
    x, y, z = F.normalize(vectors, dim=1).unbind(1)
    first = math.sqrt(3) * torch.stack([x, y, z], dim=1)
    root = math.sqrt(3)
    second = [
        root * x * y,
        root * y * z,
        z * z - (x * x + y * y) / 2,
        root * x * z,
        root / 2 * (x * x - y * y),
    ]
    return first, math.sqrt(5) * torch.stack(second, dim=1)


class _Weighted(nn.Module):
    """What both layers have: w(e), and the edges of each atom grouped by their length.

    Args:
        width: entries of e.
        scalars, vectors: s and v.
    """

    def __init__(self, width: int, scalars: int, vectors: int) -> None:
        super().__init__()
        self.scalars, self.vectors = scalars, vectors
        self.hidden = nn.Linear(width, width)
        self.weights = nn.Linear(width, scalars * (scalars + 2 * vectors))  # rows: l, u, w as in e3nn

    def _paths(self, shape: tuple[tuple[int, int], ...], dim: int) -> tuple[Tensor, Tensor]:
        """W_2 and b_2 as (u, w, width) and (u, w); `shape` has (u, w) of each l, joined along `dim`."""
        sizes = [u * w for u, w in shape]
        joined = []
        for values in (self.weights.weight, self.weights.bias):
            parts = values.split(sizes)
            joined.append(
                torch.cat([part.unflatten(0, uw) for part, uw in zip(parts, shape, strict=True)], dim=dim)
            )
        return joined[0], joined[1]


class FromScalars(_Weighted):
    """Scalars of the atoms to scalars, vectors and tensors, as messages from neighbours."""

    def forward(
        self,
        x: Float[Tensor, "atoms s"],
        e: Float[Tensor, "distinct width"],
        edge_rows: Int[Tensor, " edges"],
        neighbors: Int[Tensor, " edges"],
        y: Harmonics,
        counts: Int[Tensor, " atoms"],
    ) -> Features:
        """Means over the edges of each atom: scalars, vectors and tensors.

        Args:
            x: scalars.
            e: features of edges of distinct length.
            edge_rows: the row of e that each edge has.
            neighbors: the atom that sends; edges are sorted by the one that receives.
            y: harmonics of the edges.
            counts: edges of each receiving atom.
        """
        s, v = self.scalars, self.vectors
        w, b = self._paths(((s, s), (s, v), (s, v)), dim=1)
        x = x / math.sqrt(s)
        of_atom = (x @ w.flatten(1)).unflatten(1, w.shape[1:])  # (atoms, s + 2v, width)
        sent = distinct(neighbors, edge_rows)
        rows = _Padded(neighbors[sent.first], len(x))
        h = rows.pad(F.softplus(self.hidden(e)), edge_rows[sent.first])
        messages = rows.unpad(h @ of_atom.transpose(1, 2) + (x @ b).unsqueeze(1))
        scalar, vector, tensor = rows_of(messages, sent.of).split([s, v, v], dim=1)
        per_edge = 1 / counts.to(x.dtype)[:, None]
        return (
            segment_sum(scalar, counts) * per_edge,
            segment_sum(vector.unsqueeze(2) * y[0].unsqueeze(1), counts) * per_edge.unsqueeze(2),
            segment_sum(tensor.unsqueeze(2) * y[1].unsqueeze(1), counts) * per_edge.unsqueeze(2),
        )


class ToScalars(_Weighted):
    """Scalars, vectors and tensors of the atoms to scalars, as messages from neighbours."""

    def forward(
        self,
        x: Features,
        e: Float[Tensor, "distinct width"],
        edge_rows: Int[Tensor, " edges"],
        centers: Int[Tensor, " edges"],
        neighbors: Int[Tensor, " edges"],
        y: Harmonics,
        counts: Int[Tensor, " atoms"],
    ) -> Float[Tensor, "atoms s"]:
        """Means over the edges of each atom; `x` is what `FromScalars` gives."""
        s, v = self.scalars, self.vectors
        w, b = self._paths(((s, s), (v, s), (v, s)), dim=0)
        along = [
            (rows_of(part.flatten(1), neighbors).unflatten(1, part.shape[1:]) @ of_edge.unsqueeze(2)).squeeze(
                2
            )
            / math.sqrt(of_edge.shape[1])
            for part, of_edge in zip(x[1:], y, strict=True)
        ]
        z = torch.cat([rows_of(x[0], neighbors), *along], dim=1) / math.sqrt(s + 2 * v)
        received = distinct(centers, edge_rows)
        rows = _Padded(centers[received.first], len(counts))
        # Edges of one length of one atom have one h: their z are added up first.
        z = segment_sum(rows_of(z, received.of.argsort(stable=True)), received.counts)
        h = rows.pad(F.softplus(self.hidden(e)), edge_rows[received.first])
        z = rows.pad(z)
        pairs = (z.transpose(1, 2) @ h).flatten(1)  # (atoms, (s + 2v) width)
        out = pairs @ w.transpose(1, 2).flatten(0, 1) + z.sum(dim=1) @ b
        return out / counts.to(out.dtype)[:, None]


class _Padded:
    """Rows of atoms as one matrix per atom, as deep as the most rows of one atom; the rest is zero."""

    def __init__(self, atom_of_row: Tensor, atoms: int) -> None:
        """`atom_of_row` (rows,) int64 is sorted."""
        counts = torch.bincount(atom_of_row, minlength=atoms)
        within = (
            torch.arange(len(atom_of_row), device=counts.device) - (counts.cumsum(0) - counts)[atom_of_row]
        )
        self.atoms, self.depth, self.rows = atoms, int(counts.max()), len(atom_of_row)
        self.places = atom_of_row * self.depth + within

    def pad(self, values: Tensor, of_row: Tensor | None = None) -> Tensor:
        """(distinct, width) and the one that each row has (None: one per row) -> (atoms, depth, width)."""
        of_row = torch.arange(self.rows, device=values.device) if of_row is None else of_row
        index = of_row.new_full((self.atoms * self.depth,), len(values))
        index[self.places] = of_row
        padded = rows_of(torch.cat([values, values.new_zeros(1, values.shape[1])]), index)
        return padded.unflatten(0, (self.atoms, self.depth))

    def unpad(self, padded: Tensor) -> Tensor:
        """(atoms, depth, width) -> (rows, width)."""
        return rows_of(padded.flatten(0, 1), self.places)
