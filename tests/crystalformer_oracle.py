"""The Crystalformer in NumPy, float64, written from the formulas of the paper, apart from the model.

It follows the two-level form: alpha_ij and beta_ij first, then a softmax over the atoms of the unit cell.
Every image of a box is summed, atom by atom and head by head. Weights carry the names of the authors' code.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Settings:
    heads: int = 8
    r0: float = 1.4
    a: float = 0.1
    b: float = 0.5
    r_max: float = 14.0
    lattice_range: int | str = "adaptive"
    minimum_box: int = 2
    radius: float = 7.0  # Å, where lattice_range is "radius"
    domain: str = "real"
    rb0: float = 2.2
    reciprocal_range: int = 2


@dataclass
class Result:
    outputs: np.ndarray  # (crystals, targets)
    gauss_scale: np.ndarray  # (blocks, 2) rows [1/s, -m]
    hidden: list[np.ndarray] = field(default_factory=list)  # per block (atoms, width)
    alpha: list[np.ndarray] = field(default_factory=list)  # first block, per crystal (i, j, heads)
    beta: list[np.ndarray] = field(default_factory=list)  # first block, per crystal (i, j, heads, d)
    y: np.ndarray | None = None  # first block (atoms, heads, d), before the output projection


def random_state(rng, blocks=2, width=8, heads=2, ff_width=12, basis=6, targets=1):
    """Random weights large enough that every term of the formulas matters."""

    def normal(*shape, scale=1.0):
        return scale * rng.standard_normal(shape)

    state = {"input_embeddings.weight": normal(width, 98)}
    for i in range(blocks):
        block, attention = f"encoder.layers.{i}", f"encoder.layers.{i}.self_attn"
        for name in ("q", "k", "v"):
            state[f"{attention}.{name}_proj_weight"] = normal(width, width, scale=width**-0.5)
        state[f"{attention}.in_proj_bias"] = normal(3 * width, scale=0.3)
        state[f"{attention}.lattice_pos_weights"] = normal(width)
        if basis:
            state[f"{attention}.pe_dist_proj"] = normal(1, heads, width // heads, basis)
        state[f"{attention}.out_proj.weight"] = normal(width, width, scale=width**-0.5)
        state[f"{attention}.out_proj.bias"] = normal(width, scale=0.3)
        state[f"{block}.linear1.weight"] = normal(ff_width, width, scale=width**-0.5)
        state[f"{block}.linear1.bias"] = normal(ff_width, scale=0.3)
        state[f"{block}.linear2.weight"] = normal(width, ff_width, scale=ff_width**-0.5)
        state[f"{block}.linear2.bias"] = normal(width, scale=0.3)
    state["mlp.0.weight"], state["mlp.0.bias"] = normal(width, width), normal(width)
    state["mlp.3.weight"], state["mlp.3.bias"] = normal(targets, width), normal(targets)
    return state


def run(state, numbers, positions, lattices, sizes, settings, gauss_scale=None) -> Result:
    """Outputs of a batch; without `gauss_scale`, m and s come from this batch, block after block."""
    state = {name: np.asarray(value, dtype=np.float64) for name, value in state.items()}
    ends = np.cumsum(sizes)
    crystals = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    rows = state["input_embeddings.weight"].T
    numbers = np.asarray(numbers)  # (atoms,), or shares of the elements (atoms, elements)
    x = rows[numbers - 1] if numbers.ndim == 1 else numbers @ rows[: numbers.shape[1]]
    result, scales = Result(np.empty(0), np.empty(0)), []
    blocks = sum(name.endswith("q_proj_weight") for name in state)
    for block in range(blocks):
        names = f"encoder.layers.{block}."
        weights = {name.removeprefix(names): w for name, w in state.items() if name.startswith(names)}
        q, k, v = _projections(x, weights, settings.heads)
        w = weights["self_attn.lattice_pos_weights"].reshape(settings.heads, -1)
        projected = (q * w).sum(-1)
        if gauss_scale is None:
            scales.append([1 / projected.std(ddof=1), -projected.mean()])
        else:
            scales.append(list(gauss_scale[block]))
        rho = _rho((projected + scales[-1][1]) * scales[-1][0], settings)
        sigma, reciprocal_sigma = settings.r0 / np.sqrt(rho), settings.rb0 * np.sqrt(rho)
        domains = settings.domain.split("-")
        domain = domains[block % len(domains)]
        real_heads = {"real": settings.heads, "reci": 0, "multihead": settings.heads // 2}[domain]
        basis_weights = weights.get("self_attn.pe_dist_proj")
        y = np.empty_like(v)
        for atoms, lattice in zip(crystals, lattices, strict=True):
            n = sigma[atoms].shape[0]
            alpha, beta = np.empty((n, n, settings.heads)), np.zeros((n, n, settings.heads, v.shape[-1]))
            alpha[..., :real_heads], beta[..., :real_heads, :] = _alpha_beta(
                positions[atoms], lattice, sigma[atoms, :real_heads], basis_weights, v.shape[-1], settings
            )
            alpha[..., real_heads:] = _reciprocal_alpha(
                positions[atoms], lattice, reciprocal_sigma[atoms, real_heads:], settings
            )
            logits = np.einsum("ihd,jhd->ijh", q[atoms], k[atoms]) / np.sqrt(q.shape[-1]) + alpha
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            y[atoms] = np.einsum("ijh,jhd->ihd", p, v[atoms]) + np.einsum("ijh,ijhd->ihd", p, beta)
            if block == 0:
                result.alpha.append(alpha)
                result.beta.append(beta)
        if block == 0:
            result.y = y
        x = x + _linear(y.reshape(len(x), -1), weights, "self_attn.out_proj")
        x = x + _linear(np.maximum(_linear(x, weights, "linear1"), 0), weights, "linear2")
        result.hidden.append(x)
    pooled = np.stack([x[atoms].mean(0) for atoms in crystals])
    result.outputs = _linear(np.maximum(_linear(pooled, state, "mlp.0"), 0), state, "mlp.3")
    result.gauss_scale = np.array(scales)
    return result


def _linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _projections(x, weights, heads):
    width = x.shape[1]
    for i, name in enumerate("qkv"):
        bias = weights["self_attn.in_proj_bias"][i * width : (i + 1) * width]
        yield (x @ weights[f"self_attn.{name}_proj_weight"].T + bias).reshape(len(x), heads, -1)


def _rho(x, settings):
    scaled = settings.a * x / (1 - settings.b)
    elu = np.where(scaled >= 0, scaled, np.exp(np.minimum(scaled, 0)) - 1)
    return (1 - settings.b) * elu + 1


def box_of(lattice, lattice_range, sigma, minimum=2):
    """R_1, R_2, R_3 of one atom and head."""
    if lattice_range != "adaptive":
        return [lattice_range] * 3
    l1, l2, l3 = lattice
    volume = abs(np.dot(l1, np.cross(l2, l3)))
    areas = [np.linalg.norm(np.cross(*sides)) for sides in ((l2, l3), (l3, l1), (l1, l2))]
    return [max(minimum, int(np.ceil((3.5 * sigma + 0.01) * area / volume))) for area in areas]


def _alpha_beta(positions, lattice, sigma, basis_weights, head_width, settings):
    atoms, heads = sigma.shape
    alpha, beta = np.empty((atoms, atoms, heads)), np.zeros((atoms, atoms, heads, head_width))
    for i in range(atoms):
        for h in range(heads):
            for j in range(atoms):
                r = _distances(positions[j] - positions[i], lattice, sigma[i, h], settings)
                if not r.size:  # no image within the radius
                    alpha[i, j, h] = -np.inf
                    continue
                phi = -(r**2) / (2 * sigma[i, h] ** 2)
                alpha[i, j, h] = phi.max() + np.log(np.exp(phi - phi.max()).sum())
                if basis_weights is not None:
                    size = basis_weights.shape[-1]
                    spacing = settings.r_max / size
                    centres = spacing * np.arange(1, size + 1)
                    b = np.exp(-((r[:, None] - centres) ** 2) / (2 * spacing**2))
                    beta[i, j, h] = basis_weights[0, h] @ (np.exp(phi - alpha[i, j, h]) @ b)
    return alpha, beta


def _distances(offset, lattice, sigma, settings):
    """Distances of all images of an atom that are summed; `offset` is p_j - p_i."""
    if settings.lattice_range != "radius":
        box, centre = box_of(lattice, settings.lattice_range, sigma, settings.minimum_box), np.zeros(3)
    else:
        planes = np.linalg.norm(np.linalg.inv(lattice), axis=0)  # one over their spacing
        box = np.ceil(settings.radius * planes).astype(int) + 1
        centre = -np.rint(offset @ np.linalg.inv(lattice))
    ranges = [np.arange(c - r, c + r + 1) for c, r in zip(centre, box, strict=True)]
    cells = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    r = np.linalg.norm(offset + cells @ lattice, axis=1)
    return r[r <= settings.radius] if settings.lattice_range == "radius" else r


def _reciprocal_alpha(positions, lattice, sigma, settings):
    atoms, heads = sigma.shape
    alpha = np.empty((atoms, atoms, heads))
    axis = np.arange(-settings.reciprocal_range, settings.reciprocal_range + 1)
    waves = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    waves = waves @ (2 * np.pi * np.linalg.inv(lattice).T)
    volume = abs(np.linalg.det(lattice))
    for i in range(atoms):
        for h in range(heads):
            weights = np.exp(-(sigma[i, h] ** 2) * (waves**2).sum(1) / 2)
            for j in range(atoms):
                series = (weights * np.cos(waves @ (positions[j] - positions[i]))).sum()
                factor = (2 * np.pi * sigma[i, h] ** 2) ** 1.5 / volume
                alpha[i, j, h] = np.log(factor) + np.log(max(series, 1e-6))
    return alpha
