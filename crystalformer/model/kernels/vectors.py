"""Eight numbers at a time inside Numba functions: the heads of an atom as one value.

Numba leaves it to LLVM to find vector instructions in loops, and LLVM gives up on short loops whose arrays
might overlap. `Vector` is a value of LLVM's own vector type, so that nothing has to be found: on a CPU with
AVX it lives in one register, and elsewhere LLVM splits it.

| operation | meaning |
|---|---|
| `load(array, i)`, `store(array, i, x)` | array[i : i + 8] of a one-dimensional contiguous array |
| `splat(s)` | eight times the number s |
| `x + y`, `x - y`, `x * y`, `x / y` | lane by lane |
| `muladd(x, y, z)` | x y + z, fused where the CPU can |
| `larger(x, y)` | maximum of each lane |
| `where_less(x, y, z, s)` | z where x < y, else s |
| `total(x)` | the sum of the lanes, always added up in the same order |
| `steps(s)` | 0, 1, ..., 7 as numbers of the type of s |
| `transpose(x0, ..., x7)` | the tuple of vectors whose i-th has lane i of each argument |
| `exp_below_zero(x)` | e^x for x <= 0, to about one rounding error; 0 where that is tiny |
"""

import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

LANES = 8
instruction: Any = extending.intrinsic  # typed loosely: its functions are called without the first argument


class Vector(types.Type):
    """Numba's type of eight float32 or float64."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Vector({LANES} x {dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.dtype).get_value_type(), LANES))


VECTORS = (Vector(types.float32), Vector(types.float64))


def _binary(symbol: Any, instruction: str) -> None:
    class Operator(ConcreteTemplate):
        cases = [signature(vector, vector, vector) for vector in VECTORS]  # noqa: RUF012 - as Numba wants it

    infer_global(symbol)(Operator)
    for vector in VECTORS:

        @lower_builtin(symbol, vector, vector)
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*args)


_binary(operator.add, "fadd")
_binary(operator.sub, "fsub")
_binary(operator.mul, "fmul")
_binary(operator.truediv, "fdiv")


def _is_real_array(array: Any) -> bool:
    return isinstance(array, types.Array) and isinstance(array.dtype, types.Float) and array.layout == "C"


def _vector_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> tuple[Any, Any]:
    data = context.make_array(array_type)(context, builder, array).data
    vector = context.get_value_type(Vector(array_type.dtype))
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), vector


@instruction
def load(typing: Any, array: Any, index: Any) -> Any:
    """See the module's table."""
    if not _is_real_array(array):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer, vector = _vector_pointer(context, builder, array, *args)
        return builder.load(pointer, align=array.dtype.bitwidth // 8, typ=vector)

    return signature(Vector(array.dtype), array, types.intp), lower


@instruction
def store(typing: Any, array: Any, index: Any, x: Any) -> Any:
    """See the module's table."""
    if not _is_real_array(array) or x != Vector(array.dtype):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer, _ = _vector_pointer(context, builder, array, args[0], args[1])
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature(types.void, array, types.intp, x), lower


def _constant(vector: ir.VectorType, value: float | int | list) -> ir.Constant:
    """A vector constant; one number means eight times that number."""
    values = value if isinstance(value, list) else [value] * LANES
    return ir.Constant(vector, [ir.Constant(vector.element, v) for v in values])


def _call(builder: Any, name: str, *args: Any) -> Any:
    kind = args[0].type
    width = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}[kind.element]
    function_type = ir.FunctionType(kind, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.v{LANES}{width}")
    return builder.call(function, args)


@instruction
def splat(typing: Any, scalar: Any) -> Any:
    """See the module's table."""
    if not isinstance(scalar, types.Float):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(sig.return_type)
        index = ir.VectorType(ir.IntType(32), LANES)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), args[0], ir.IntType(32)(0))
        return builder.shuffle_vector(
            first, ir.Constant(vector, ir.Undefined), ir.Constant(index, [0] * LANES)
        )

    return signature(Vector(scalar), scalar), lower


@instruction
def steps(typing: Any, scalar: Any) -> Any:
    """See the module's table."""
    if not isinstance(scalar, types.Float):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _constant(context.get_value_type(sig.return_type), [float(lane) for lane in range(LANES)])

    return signature(Vector(scalar), scalar), lower


@instruction
def muladd(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, "fmuladd", *args)

    return (signature(x, x, x, x), lower) if isinstance(x, Vector) and x == y == z else None


@instruction
def larger(typing: Any, x: Any, y: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[1], args[0])

    return (signature(x, x, x), lower) if isinstance(x, Vector) and x == y else None


@instruction
def where_less(typing: Any, x: Any, y: Any, z: Any, s: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return (signature(x, x, x, x, x), lower) if isinstance(x, Vector) and x == y == z == s else None


def _shuffle(builder: Any, x: Any, y: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


@instruction
def total(typing: Any, x: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        [rest] = args
        for half in (4, 2, 1):
            upper = _shuffle(builder, rest, rest, list(range(half, 2 * half)))
            lower_half = _shuffle(builder, rest, rest, list(range(half)))
            rest = builder.fadd(lower_half, upper)
        return builder.extract_element(rest, ir.IntType(32)(0))

    return (signature(x.dtype, x), lower) if isinstance(x, Vector) else None


@instruction
def transpose(typing: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # three rounds, each of which interleaves vector i with vector i + 4
        low = [lane // 2 + LANES * (lane % 2) for lane in range(LANES)]
        high = [lane + LANES // 2 for lane in low]
        rows = list(args)
        for _ in range(3):
            pairs = [(rows[i], rows[i + LANES // 2]) for i in range(LANES // 2)]
            rows = [_shuffle(builder, x, y, lanes) for x, y in pairs for lanes in (low, high)]
        return context.make_tuple(builder, sig.return_type, rows)

    return (signature(types.UniTuple(a, LANES), *[a] * LANES), lower) if isinstance(a, Vector) else None


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
    if not isinstance(x, Vector):
        return None
    settings = _EXP[x.dtype]

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        [value] = args
        vector = value.type
        integers = ir.VectorType(ir.IntType(int(settings["bits"])), LANES)

        def constant(number: float) -> ir.Constant:
            return _constant(vector, number)

        # adding 1.5 2^mantissa rounds to a whole number n, and leaves n in the lowest bits
        shifter = constant(1.5 * 2.0 ** settings["mantissa"])
        shifted = _call(builder, "fmuladd", value, constant(1 / math.log(2)), shifter)
        n = builder.fsub(shifted, shifter)
        real = np.float32 if x.dtype is types.float32 else np.float64
        high = float(real(round(math.log(2) * 2**12) / 2**12))  # n times this is exact
        r = _call(builder, "fmuladd", n, constant(-high), value)
        r = _call(builder, "fmuladd", n, constant(high - math.log(2) - LN2_REST), r)
        terms = int(settings["terms"])
        result = constant(1 / math.factorial(terms))
        for k in range(terms - 1, -1, -1):
            result = _call(builder, "fmuladd", result, r, constant(1 / math.factorial(k)))
        exponent = builder.add(builder.bitcast(shifted, integers), _constant(integers, settings["bias"]))
        power = builder.bitcast(builder.shl(exponent, _constant(integers, settings["mantissa"])), vector)
        tiny = builder.fcmp_ordered("<", value, constant(settings["limit"]))
        return builder.select(tiny, constant(0.0), builder.fmul(result, power))

    return signature(x, x), lower
