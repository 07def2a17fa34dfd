"""The tensor products of eComFormer against e3nn, edge by edge with weights of its own."""

import pytest
import torch

from baselines.features.tensor_products import FromScalars, ToScalars, harmonics

e3nn_o3 = pytest.importorskip("e3nn.o3", reason="make test-oracles installs it")

SCALARS, VECTORS, WIDTH, ATOMS = 6, 3, 5, 4


def weights_of(layer: torch.nn.Module, e: torch.Tensor) -> torch.Tensor:
    return layer.weights(torch.nn.functional.softplus(layer.hidden(e)))


@pytest.fixture
def edges():
    """(centres, neighbours, rows of distinct lengths, vectors) of some edges, sorted by centre."""
    torch.manual_seed(0)
    centers = torch.arange(ATOMS).repeat_interleave(torch.tensor([7, 3, 5, 1]))
    neighbors = torch.randint(ATOMS, centers.shape)
    return centers, neighbors, torch.randint(5, centers.shape), torch.randn(len(centers), 3).double()


def mean(messages: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    return torch.stack([messages[centers == atom].mean(dim=0) for atom in range(ATOMS)])


def test_two_layers_agree_with_e3nn(edges) -> None:
    centers, neighbors, rows, vectors = edges
    first = FromScalars(WIDTH, SCALARS, VECTORS).double()
    second = ToScalars(WIDTH, SCALARS, VECTORS).double()
    x, e = torch.randn(ATOMS, SCALARS).double(), torch.randn(5, WIDTH).double()
    counts = torch.bincount(centers, minlength=ATOMS)
    y = harmonics(vectors)
    scalar, vector, tensor = first(x, e, rows, neighbors, y, counts)
    result = second((scalar, vector, tensor), e, rows, centers, neighbors, y, counts)

    harmonic = "1x0e + 1x1o + 1x2e"
    middle = f"{SCALARS}x0e + {VECTORS}x1o + {VECTORS}x2e"
    sh = e3nn_o3.spherical_harmonics(harmonic, vectors, normalize=True, normalization="component")
    product = e3nn_o3.FullyConnectedTensorProduct(
        f"{SCALARS}x0e", harmonic, middle, shared_weights=False
    ).double()
    features = mean(product(x[neighbors], sh, weights_of(first, e)[rows]), centers)
    back = e3nn_o3.FullyConnectedTensorProduct(
        middle, harmonic, f"{SCALARS}x0e", shared_weights=False
    ).double()
    expected = mean(back(features[neighbors], sh, weights_of(second, e)[rows]), centers)

    torch.testing.assert_close(scalar, features[:, :SCALARS])
    # Components are in another order there: lengths are compared.
    theirs = features[:, SCALARS : SCALARS + 3 * VECTORS].unflatten(1, (VECTORS, 3))
    torch.testing.assert_close(vector.norm(dim=2), theirs.norm(dim=2))
    theirs = features[:, SCALARS + 3 * VECTORS :].unflatten(1, (VECTORS, 5))
    torch.testing.assert_close(tensor.norm(dim=2), theirs.norm(dim=2))
    torch.testing.assert_close(result, expected)
