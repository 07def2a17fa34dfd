"""Small data files of every format with the number of their rows, and seeded ways to damage them."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Mutation = Callable[[random.Random, bytes], bytes]

CIF = """data_salt
_cell_length_a 4.12
_cell_length_b 4.12
_cell_length_c 4.12
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_symmetry_equiv_pos_as_xyz
x,y,z
-x,-y,-z
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cs1 Cs 0 0 0 1
Cl1 Cl 0.5 0.5 0.5 1
"""
POSCAR = "salt\n1.0\n4.12 0 0\n0 4.12 0\n0 0 4.12\nCs Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"
EXTXYZ = '2\nLattice="4.12 0 0 0 4.12 0 0 0 4.12" Properties=species:S:1:pos:R:3 gap=1.5\n' + (
    "Cs 0 0 0\nCl 2.06 2.06 2.06\n"
)
ARRAYS = {
    "species": [55, 17],
    "lattice": [[4.12, 0, 0], [0, 4.12, 0], [0, 0, 4.12]],
    "frac": [[0, 0, 0], [0.5, 0.5, 0.5]],
}
ATOMS = {"numbers": [55, 17], "positions": [[0, 0, 0], [2.06, 2.06, 2.06]], "cell": ARRAYS["lattice"]}
ROWS = 3


def csv_text(column: str, text: str) -> bytes:
    """A table of three structures."""
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow(["id", column, "gap", "split", "note"])
    rows.writerows([f"salt-{i}", text, 1.5 + i, "train", "as grown"] for i in range(ROWS))
    return file.getvalue().encode()


def json_lines(entry: dict[str, Any]) -> bytes:
    """Three structures as JSON lines."""
    rows = [{"id": f"salt-{i}", **entry, "targets": {"gap": 1.5 + i}} for i in range(ROWS)]
    return ("\n".join(map(json.dumps, rows)) + "\n").encode()


def parquet(folder: Path) -> bytes:
    """Three structures in a parquet file, as texts."""
    import pandas as pd

    path = folder / "made.parquet"
    pd.DataFrame(
        {"id": [f"s-{i}" for i in range(ROWS)], "cif": [CIF] * ROWS, "gap": [1.0, 2.0, 3.0]}
    ).to_parquet(path)
    return path.read_bytes()


def sources(folder: Path) -> dict[str, bytes]:
    """File name -> content, by format; `x.` stands for a structure file that a table names."""
    return {
        "x.cif": CIF.encode(),
        "x.vasp": POSCAR.encode(),
        "x.extxyz": EXTXYZ.encode(),
        "cif.csv": csv_text("cif", CIF),
        "poscar.csv": csv_text("poscar", POSCAR),
        "arrays.jsonl": json_lines(ARRAYS),
        "atoms.jsonl": json_lines(ATOMS),
        "text.jsonl": json_lines({"structure": CIF}),
        "list.json": json.dumps([{"id": f"salt-{i}", **ARRAYS} for i in range(ROWS)]).encode(),
        "many.extxyz": EXTXYZ.encode() * ROWS,
        "t.parquet": parquet(folder),
    }


def flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def delete(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice([1, 2, 10, 50]) :]


def repeat(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    piece = content[start : start + rng.choice([1, 5, 30, 100])]
    return content[:start] + piece * rng.choice([2, 3, 40]) + content[start:]


def swap_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def swap_columns(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    for separator in (b",", b" "):
        cells = lines[at].split(separator)
        if len(cells) > 1:
            rng.shuffle(cells)
            lines[at] = separator.join(cells)
            break
    return b"\n".join(lines)


HUGE = [
    "1e308",
    "-1e308",
    "9" * 400,
    "1" + "0" * 12,
    "nan",
    "inf",
    "-inf",
    "0",
    "-1",
    "1e-320",
    "4.12(3)",
    "1/3",
]


def huge_number(rng: random.Random, content: bytes) -> bytes:
    starts = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
    if not starts:
        return content
    start = rng.choice(starts)
    end = start
    while end < len(content) and content[end : end + 1] in b"0123456789.":
        end += 1
    return content[:start] + rng.choice(HUGE).encode() + content[end:]


UNICODE = [
    "\ufeff",
    "é",
    "\u202e",
    "𝟜",
    "\x00",
    "Å",
    "\ud800",
    "٣",
    "–",
    "\x85",
    "\u2028",
    '"',
    "'",
    "\\",
    "{",
    "[",
    ";",
]


def unicode(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(UNICODE).encode(errors="surrogatepass") + content[at:]


def line_ends(rng: random.Random, content: bytes) -> bytes:
    return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b" \n", b""]))


def words(rng: random.Random, content: bytes) -> bytes:
    """A word of the file, or one that readers know, in the place of another."""
    known = [
        b"loop_",
        b"data_x",
        b"_atom_site_fract_x",
        b"null",
        b"true",
        b"{}",
        b"[]",
        b"D",
        b"Uuo",
        b"Xx",
        b"?",
        b".",
    ]
    parts = content.split(b" ")
    at = rng.randrange(len(parts))
    parts[at] = rng.choice([*known, rng.choice(parts)])
    return b" ".join(parts)


MUTATIONS: tuple[Mutation, ...] = (
    flip,
    truncate,
    delete,
    repeat,
    swap_lines,
    swap_columns,
    huge_number,
    unicode,
    line_ends,
    words,
)


def mutated(rng: random.Random, content: bytes) -> bytes:
    """The content after one to three mutations; never empty where it was not."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        content = rng.choice(MUTATIONS)(rng, content) or b"\n"
    return content
