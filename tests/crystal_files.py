"""CsCl in the forms in which a user may have it, and CIF texts of cubic cells."""

CSCL = """data_CsCl
_cell_length_a 4.12
_cell_length_b 4.12
_cell_length_c 4.12
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cs 0 0 0
Cl 0.5 0.5 0.5
"""
POSCAR = "CsCl\n1.0\n4.12 0 0\n0 4.12 0\n0 0 4.12\nCs Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"
ARRAYS = {"species": [55, 17], "lattice": [[4.12, 0, 0], [0, 4.12, 0], [0, 0, 4.12]]}
LINE = {**ARRAYS, "frac": [[0, 0, 0], [0.5, 0.5, 0.5]]}
EXTXYZ = (
    '2\nLattice="4.12 0 0 0 4.12 0 0 0 4.12" Properties=species:S:1:pos:R:3\nCs 0 0 0\nCl 2.06 2.06 2.06\n'
)


def cubic_cif(edge: float, *sites: str) -> str:
    """A CIF text without symmetry; a site is its label, type, three fractional coordinates and occupancy."""
    lengths = "".join(f"_cell_length_{axis} {edge}\n" for axis in "abc")
    angles = "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
    loop = "".join(f"_atom_site_{column}\n" for column in columns)
    rows = "".join(f"{site}\n" for site in sites)
    return f"data_cubic\n{lengths}{angles}_symmetry_space_group_name_H-M 'P 1'\nloop_\n{loop}{rows}"
