"""Eight or sixteen numbers at a time inside Numba functions: the heads of an atom as one value.

Numba leaves it to LLVM to find vector instructions in loops, and LLVM gives up on short loops whose arrays
might overlap. `Vector` is a value of LLVM's own vector type, so that nothing has to be found: on a CPU with
AVX it lives in one register, and elsewhere LLVM splits it.

| operation | meaning |
|---|---|
| `load(array, i)`, `store(array, i, x)` | array[i : i + 8] of a one-dimensional contiguous array |
| `load_wide(array, i)` | array[i : i + 16], a wide vector; `store` takes it, too |
| `splat(s)` | eight times the number s |
| `x + y`, `x - y`, `x * y`, `x / y` | lane by lane |
| `muladd(x, y, z)` | x y + z, fused where the CPU can |
| `larger(x, y)` | maximum of each lane |
| `where_less(x, y, z, s)` | z where x < y, else s |
| `total(x)` | the sum of the lanes, always added up in the same order |
| `transpose(x0, ..., x7)` | the tuple of vectors whose i-th has lane i of each argument |
"""

import operator
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

LANES = 8
WIDE = 2 * LANES
instruction: Any = extending.intrinsic  # typed loosely: its functions are called without the first argument


class Vector(types.Type):
    """Numba's type of some float32 or float64."""

    def __init__(self, dtype: types.Float, lanes: int = LANES) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({lanes} x {dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(
            manager, vector, ir.VectorType(manager.lookup(vector.dtype).get_value_type(), vector.lanes)
        )


VECTORS = tuple(Vector(real, lanes) for real in (types.float32, types.float64) for lanes in (LANES, WIDE))


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


def is_real_array(array: Any) -> bool:
    """Whether a type of Numba is that of an array of real numbers that lie side by side."""
    return isinstance(array, types.Array) and isinstance(array.dtype, types.Float) and array.layout == "C"


def item_bytes(array: Any) -> int:
    """Bytes of one number of an array of this type."""
    return int(array.dtype.bitwidth) // 8


def vector_pointer(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, lanes: int
) -> tuple[Any, Any]:
    """A pointer to the vector that begins at `index` of an array, and the type of the vector."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = context.get_value_type(Vector(array_type.dtype, lanes))
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), vector


@instruction
def load(typing: Any, array: Any, index: Any) -> Any:
    """See the module's table."""
    if not is_real_array(array):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer, vector = vector_pointer(context, builder, array, args[0], args[1], LANES)
        return builder.load(pointer, align=item_bytes(array), typ=vector)

    return signature(Vector(array.dtype), array, types.intp), lower


@instruction
def load_wide(typing: Any, array: Any, index: Any) -> Any:
    """See the module's table."""
    if not is_real_array(array):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer, vector = vector_pointer(context, builder, array, args[0], args[1], WIDE)
        return builder.load(pointer, align=item_bytes(array), typ=vector)

    return signature(Vector(array.dtype, WIDE), array, types.intp), lower


@instruction
def store(typing: Any, array: Any, index: Any, x: Any) -> Any:
    """See the module's table."""
    if not is_real_array(array) or not isinstance(x, Vector) or x.dtype != array.dtype:
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer, _ = vector_pointer(context, builder, array, args[0], args[1], x.lanes)
        builder.store(args[2], pointer, align=item_bytes(array))
        return context.get_dummy_value()

    return signature(types.void, array, types.intp, x), lower


def constant(vector: ir.VectorType, value: float | int | list) -> ir.Constant:
    """A vector constant; one number stands for all lanes."""
    values = value if isinstance(value, list) else [value] * vector.count
    return ir.Constant(vector, [ir.Constant(vector.element, v) for v in values])


def call(builder: Any, name: str, *args: Any) -> Any:
    """The result of LLVM's intrinsic function `name` of vectors of one type."""
    kind = args[0].type
    width = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}[kind.element]
    function_type = ir.FunctionType(kind, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(
        builder.module, function_type, f"llvm.{name}.v{kind.count}{width}"
    )
    return builder.call(function, args)


def shuffle(builder: Any, x: Any, y: Any, lanes: list[int]) -> Any:
    """A vector of these lanes of x and y, those of y counted on from those of x."""
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


def filled(builder: Any, vector: ir.VectorType, number: Any) -> Any:
    """A vector that has the number in all lanes."""
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, number, ir.IntType(32)(0))
    return shuffle(builder, first, empty, [0] * vector.count)


@instruction
def splat(typing: Any, scalar: Any) -> Any:
    """See the module's table."""
    if not isinstance(scalar, types.Float):
        return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return filled(builder, context.get_value_type(sig.return_type), args[0])

    return signature(Vector(scalar), scalar), lower


@instruction
def muladd(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return call(builder, "fmuladd", *args)

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


@instruction
def total(typing: Any, x: Any) -> Any:
    """See the module's table."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        [rest] = args
        for half in (4, 2, 1):
            upper = shuffle(builder, rest, rest, list(range(half, 2 * half)))
            lower_half = shuffle(builder, rest, rest, list(range(half)))
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
            rows = [shuffle(builder, x, y, lanes) for x, y in pairs for lanes in (low, high)]
        return context.make_tuple(builder, sig.return_type, rows)

    return (signature(types.UniTuple(a, LANES), *[a] * LANES), lower) if isinstance(a, Vector) else None
