# mypy: disable-error-code="no-untyped-def"
"""The attention sum and its gradient, atom by atom, for `gpu`: three functions that Triton compiles.

Formulas and letters as in `crystalformer.model.attention`; for atom i, head h and image m = (j, n):

    s_m = q.k_j / sqrt(d) + a r_m^2,   p_m = exp(s_m - top) / norm,   O = sum p_m v_j,   B = sum p_m b(r_m)

and, with gO and gB the gradients of a loss by O and B,

    t_m = gO.v_j + gB.b(r_m),   ds_m = p_m (t_m - gO.O - gB.B)
    dq = sum ds_m k_j / sqrt(d),   dk_j = sum ds_m q / sqrt(d),   dv_j = sum p_m gO,   da = sum ds_m r_m^2.

| function | one program is | it writes |
|---|---|---|
| `forward_atom` | atom i, a group of heads | O, B, top, norm |
| `backward_query` | atom i, a group of heads | dq, da, and p_m and ds_m of its images |
| `backward_key` | atom j, a group of heads | dk, dv, from p_m and ds_m of the images of which it is the key |

Images are taken in tiles, in the order of the list, and no two programs write the same number: there are no
atomic additions, and every run gives the same bits.

Constants known when compiling: HEADS, WIDTH, SIZE and IMAGES are the extents of a tile, powers of 2 of at
least the heads of a group, d, K and the images taken at a time; SIZE is 0 without psi. MASKED says whether
images have a reach, SCALE is 1 / sqrt(d), SPACING the width of the radial basis in Å.
"""

import triton
import triton.language as tl

LOWEST = tl.constexpr(-1e30)  # below any logit


@triton.jit
def logits(q_i, k_j, rate, r, SCALE: tl.constexpr):
    """s_m of one query (heads, d) and the keys (images, heads, d) of a tile; (images, heads)."""
    return tl.sum(q_i[None, :, :] * k_j, axis=2) * SCALE + rate[None, :] * (r * r)[:, None]


@triton.jit
def radial_basis(r, SIZE: tl.constexpr, SPACING: tl.constexpr):
    """b(r) of distances (images,), see `GaussianBasis`; (images, SIZE), those beyond K unused."""
    x = (r / SPACING)[:, None] - (tl.arange(0, SIZE) + 1).to(r.dtype)[None, :]
    return tl.exp(x * x * -0.5)


@triton.jit
def forward_atom(
    q,
    k,
    v,
    a,
    offsets,
    key,
    distance,
    reach,
    cutoff,
    averaged_v,
    averaged_b,
    tops,
    norms,
    heads,
    width,
    size,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    SIZE: tl.constexpr,
    IMAGES: tl.constexpr,
    MASKED: tl.constexpr,
    SCALE: tl.constexpr,
    SPACING: tl.constexpr,
):
    """O, B, top and norm of one atom, with the softmax rescaled whenever a tile brings a larger logit."""
    atom = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    column = tl.arange(0, WIDTH)
    known = head < heads
    rows = (atom * heads + head)[:, None] * width + column[None, :]
    in_row = known[:, None] & (column < width)[None, :]
    q_i = tl.load(q + rows, mask=in_row, other=0.0)
    rate = tl.load(a + atom * heads + head, mask=known, other=0.0)
    limit = rate
    if MASKED:
        limit = tl.load(cutoff + atom * heads + head, mask=known, other=0.0)
    top = rate * 0 + LOWEST
    norm = rate * 0
    sum_v = q_i * 0
    if SIZE > 0:
        function = tl.arange(0, SIZE)
        sum_b = tl.zeros([HEADS, SIZE], q_i.dtype)
    end = tl.load(offsets + atom + 1)
    for first in range(tl.load(offsets + atom), end, IMAGES):
        image = first + tl.arange(0, IMAGES)
        present = image < end
        j = tl.load(key + image, mask=present, other=0)
        r = tl.load(distance + image, mask=present, other=0.0)
        there = (j[:, None, None] * heads + head[None, :, None]) * width + column[None, None, :]
        wanted = present[:, None, None] & in_row[None, :, :]
        k_j = tl.load(k + there, mask=wanted, other=0.0)
        s = logits(q_i, k_j, rate, r, SCALE)
        inside = present[:, None] & known[None, :]
        if MASKED:
            far = tl.load(reach + image, mask=present, other=0.0)
            inside = inside & (far[:, None] < limit[None, :])
        s = tl.where(inside, s, LOWEST)
        higher = tl.maximum(top, tl.max(s, axis=0))
        shrink = tl.exp(top - higher)
        p = tl.where(inside, tl.exp(s - higher[None, :]), 0.0)
        v_j = tl.load(v + there, mask=wanted, other=0.0)
        norm = norm * shrink + tl.sum(p, axis=0)
        sum_v = sum_v * shrink[:, None] + tl.sum(p[:, :, None] * v_j, axis=0)
        if SIZE > 0:
            b = radial_basis(r, SIZE, SPACING)
            sum_b = sum_b * shrink[:, None] + tl.dot(
                tl.trans(p), b, input_precision="ieee", out_dtype=q_i.dtype
            )
        top = higher
    tl.store(tops + atom * heads + head, top, mask=known)
    tl.store(norms + atom * heads + head, norm, mask=known)
    share = 1.0 / tl.where(known, norm, 1.0)
    tl.store(averaged_v + rows, sum_v * share[:, None], mask=in_row)
    if SIZE > 0:
        places = (atom * heads + head)[:, None] * size + function[None, :]
        in_basis = known[:, None] & (function < size)[None, :]
        tl.store(averaged_b + places, sum_b * share[:, None], mask=in_basis)


@triton.jit
def backward_query(
    q,
    k,
    v,
    a,
    offsets,
    key,
    distance,
    reach,
    cutoff,
    averaged_v,
    averaged_b,
    tops,
    norms,
    grad_v,
    grad_b,
    dq,
    da,
    weights,
    slopes,
    heads,
    width,
    size,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    SIZE: tl.constexpr,
    IMAGES: tl.constexpr,
    MASKED: tl.constexpr,
    SCALE: tl.constexpr,
    SPACING: tl.constexpr,
):
    """dq and da of one atom; p_m and ds_m of its images go to `weights` and `slopes`, (images, heads)."""
    atom = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    column = tl.arange(0, WIDTH)
    known = head < heads
    rows = (atom * heads + head)[:, None] * width + column[None, :]
    in_row = known[:, None] & (column < width)[None, :]
    q_i = tl.load(q + rows, mask=in_row, other=0.0)
    g_v = tl.load(grad_v + rows, mask=in_row, other=0.0)
    rate = tl.load(a + atom * heads + head, mask=known, other=0.0)
    limit = rate
    if MASKED:
        limit = tl.load(cutoff + atom * heads + head, mask=known, other=0.0)
    top = tl.load(tops + atom * heads + head, mask=known, other=0.0)
    share = 1.0 / tl.load(norms + atom * heads + head, mask=known, other=1.0)
    mean = tl.sum(g_v * tl.load(averaged_v + rows, mask=in_row, other=0.0), axis=1)
    if SIZE > 0:
        function = tl.arange(0, SIZE)
        places = (atom * heads + head)[:, None] * size + function[None, :]
        in_basis = known[:, None] & (function < size)[None, :]
        g_b = tl.load(grad_b + places, mask=in_basis, other=0.0)
        mean += tl.sum(g_b * tl.load(averaged_b + places, mask=in_basis, other=0.0), axis=1)
    sum_q = q_i * 0
    sum_a = rate * 0
    end = tl.load(offsets + atom + 1)
    for first in range(tl.load(offsets + atom), end, IMAGES):
        image = first + tl.arange(0, IMAGES)
        present = image < end
        j = tl.load(key + image, mask=present, other=0)
        r = tl.load(distance + image, mask=present, other=0.0)
        there = (j[:, None, None] * heads + head[None, :, None]) * width + column[None, None, :]
        wanted = present[:, None, None] & in_row[None, :, :]
        k_j = tl.load(k + there, mask=wanted, other=0.0)
        v_j = tl.load(v + there, mask=wanted, other=0.0)
        s = logits(q_i, k_j, rate, r, SCALE)
        inside = present[:, None] & known[None, :]
        if MASKED:
            far = tl.load(reach + image, mask=present, other=0.0)
            inside = inside & (far[:, None] < limit[None, :])
        p = tl.where(inside, tl.exp(s - top[None, :]) * share[None, :], 0.0)
        t = tl.sum(g_v[None, :, :] * v_j, axis=2) - mean[None, :]
        if SIZE > 0:
            b = radial_basis(r, SIZE, SPACING)
            t += tl.trans(tl.dot(g_b, tl.trans(b), input_precision="ieee", out_dtype=q_i.dtype))
        ds = tl.where(inside, p * t, 0.0)
        sum_q += tl.sum(ds[:, :, None] * k_j, axis=0)
        sum_a += tl.sum(ds * (r * r)[:, None], axis=0)
        places_m = image[:, None] * heads + head[None, :]
        tl.store(weights + places_m, p, mask=present[:, None] & known[None, :])
        tl.store(slopes + places_m, ds, mask=present[:, None] & known[None, :])
    tl.store(dq + rows, sum_q * SCALE, mask=in_row)
    tl.store(da + atom * heads + head, sum_a, mask=known)


@triton.jit
def backward_key(
    q,
    grad_v,
    query,
    key_offsets,
    order,
    weights,
    slopes,
    dk,
    dv,
    heads,
    width,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    IMAGES: tl.constexpr,
    SCALE: tl.constexpr,
):
    """dk and dv of one atom, from the images that others, and itself, see of it; see `ImagesByKey`."""
    atom = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    column = tl.arange(0, WIDTH)
    known = head < heads
    rows = (atom * heads + head)[:, None] * width + column[None, :]
    in_row = known[:, None] & (column < width)[None, :]
    sum_k = tl.zeros([HEADS, WIDTH], q.dtype.element_ty)
    sum_v = sum_k
    end = tl.load(key_offsets + atom + 1)
    for first in range(tl.load(key_offsets + atom), end, IMAGES):
        turn = first + tl.arange(0, IMAGES)
        present = turn < end
        image = tl.load(order + turn, mask=present, other=0)
        i = tl.load(query + image, mask=present, other=0)
        places = image[:, None] * heads + head[None, :]
        p = tl.load(weights + places, mask=present[:, None] & known[None, :], other=0.0)
        ds = tl.load(slopes + places, mask=present[:, None] & known[None, :], other=0.0)
        there = (i[:, None, None] * heads + head[None, :, None]) * width + column[None, None, :]
        wanted = present[:, None, None] & in_row[None, :, :]
        sum_k += tl.sum(ds[:, :, None] * tl.load(q + there, mask=wanted, other=0.0), axis=0)
        sum_v += tl.sum(p[:, :, None] * tl.load(grad_v + there, mask=wanted, other=0.0), axis=0)
    tl.store(dk + rows, sum_k * SCALE, mask=in_row)
    tl.store(dv + rows, sum_v, mask=in_row)
