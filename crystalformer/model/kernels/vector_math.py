"""What the attention sum needs beyond arithmetic: exponentials, and windows of the radial basis.

| operation | meaning |
|---|---|
| `gaussians(s)` | the sixteen numbers exp(-(s + k)^2 / 2), k = 0, 1, ... |
| `add_outer(array, i, x, y)` | adds y_k x to row k, k < ROWS, of the rows of eight from array[i]; y is wide |
| `dot_rows(array, i, y)` | the sum of y_k times row k, k < ROWS |
| `exp_below_zero(x)` | e^x for x <= 0, to about one rounding error; 0 where that is tiny |
"""

import math
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import signature

from crystalformer.model.kernels.vectors import (
    LANES,
    WIDE,
    Vector,
    call,
    constant,
    filled,
    instruction,
    is_real_array,
    item_bytes,
    shuffle,
    vector_pointer,
)

ROWS = {types.float32: 14, types.float64: 10}  # of `add_outer` and `dot_rows`; even


@instruction
def add_outer(typing: Any, array: Any, index: Any, x: Any, window: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        twice = shuffle(builder, args[2], args[2], [*range(LANES), *range(LANES)])
        for row in range(0, ROWS[array.dtype], 2):
            here = builder.add(args[1], args[1].type(row * LANES))
            pointer, _ = vector_pointer(context, builder, array, args[0], here, WIDE)
            factor = shuffle(builder, args[3], args[3], [row] * LANES + [row + 1] * LANES)
            before = builder.load(pointer, align=item_bytes(array), typ=factor.type)
            builder.store(call(builder, "fmuladd", twice, factor, before), pointer, align=item_bytes(array))
        return context.get_dummy_value()

    fits = is_real_array(array) and x == Vector(array.dtype) and window == Vector(array.dtype, WIDE)
    return (signature(types.void, array, types.intp, x, window), lower) if fits else None


@instruction
def dot_rows(typing: Any, array: Any, index: Any, window: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = args[2].type
        sums = [constant(wide, 0.0), constant(wide, 0.0)]
        for row in range(0, ROWS[array.dtype], 2):
            here = builder.add(args[1], args[1].type(row * LANES))
            pointer, _ = vector_pointer(context, builder, array, args[0], here, WIDE)
            factor = shuffle(builder, args[2], args[2], [row] * LANES + [row + 1] * LANES)
            values = builder.load(pointer, align=item_bytes(array), typ=wide)
            sums[row // 2 % 2] = call(builder, "fmuladd", factor, values, sums[row // 2 % 2])
        both = builder.fadd(*sums)
        even, odd = (shuffle(builder, both, both, list(range(i, i + LANES))) for i in (0, LANES))
        return builder.fadd(even, odd)

    fits = is_real_array(array) and window == Vector(array.dtype, WIDE)
    return (signature(Vector(array.dtype), array, types.intp, window), lower) if fits else None


LN2_REST = 2.3190468138462996e-17  # ln 2 minus its nearest float64

# e^x = 2^n e^r with |r| <= ln(2) / 2. Below the limit the result is 0: its products with the radial basis
# would be subnormal numbers, which many CPUs compute slowly.
_EXP = {
    types.float32: {"bits": 32, "mantissa": 23, "bias": 127, "terms": 7, "limit": -69.0},
    types.float64: {"bits": 64, "mantissa": 52, "bias": 1023, "terms": 13, "limit": -690.0},
}


@instruction
def exp_below_zero(typing: Any, x: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _exp(builder, args[0], x.dtype)

    return (signature(x, x), lower) if isinstance(x, Vector) else None


@instruction
def gaussians(typing: Any, start: Any) -> Any:
    """See the module's table."""
    if not isinstance(start, types.Float):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(sig.return_type)
        lanes = constant(vector, [float(lane) for lane in range(WIDE)])
        x = builder.fadd(filled(builder, vector, args[0]), lanes)
        return _exp(builder, builder.fmul(builder.fmul(x, x), constant(vector, -0.5)), start)

    return signature(Vector(start, WIDE), start), lower


def _exp(builder: Any, value: Any, dtype: types.Float) -> Any:
    """e^x of a vector of numbers below 0, or above by rounding only."""
    settings, vector = _EXP[dtype], value.type
    integers = ir.VectorType(ir.IntType(int(settings["bits"])), vector.count)

    def same(number: float) -> ir.Constant:
        return constant(vector, number)

    # adding 1.5 2^mantissa rounds to a whole number n, and leaves n in the lowest bits
    shifter = same(1.5 * 2.0 ** settings["mantissa"])
    shifted = call(builder, "fmuladd", value, same(1 / math.log(2)), shifter)
    n = builder.fsub(shifted, shifter)
    high = round(math.log(2) * 2**12) / 2**12  # n times this is exact
    r = call(builder, "fmuladd", n, same(-high), value)
    r = call(builder, "fmuladd", n, same(high - math.log(2) - LN2_REST), r)
    terms = int(settings["terms"])
    sums = [same(1 / math.factorial(k)) for k in range(terms + 1)]
    power = r
    while len(sums) > 1:  # by halves (Estrin), so that few of the products wait for each other
        pairs = [call(builder, "fmuladd", sums[i + 1], power, sums[i]) for i in range(0, len(sums) - 1, 2)]
        sums = pairs + sums[2 * len(pairs) :]
        power = builder.fmul(power, power)
    [result] = sums
    exponent = builder.add(builder.bitcast(shifted, integers), constant(integers, settings["bias"]))
    two_to_n = builder.bitcast(builder.shl(exponent, constant(integers, settings["mantissa"])), vector)
    tiny = builder.fcmp_ordered("<", value, same(settings["limit"]))
    return builder.select(tiny, same(0.0), builder.fmul(result, two_to_n))
