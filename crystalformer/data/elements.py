"""The elements: their symbols, and which crystals of a store hold one that a model does not know."""

import numpy as np

from crystalformer.data.array_store import ArrayStore

_SYMBOLS = """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar
    K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
    Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf
    Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th
    Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs
    Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS = tuple(_SYMBOLS.split())  # of Z = 1, 2, ...


def unknown_elements(store: ArrayStore, last_element: int) -> dict[int, str]:
    """Store row -> reason, of the crystals with an atomic number Z above `last_element`."""
    atoms = np.flatnonzero(store.numbers > last_element)
    rows = np.searchsorted(store.offsets, atoms, side="right") - 1
    return {
        int(row): f"expected elements up to Z = {last_element}, got Z = {store.numbers[atom]}"
        for row, atom in zip(rows, atoms, strict=True)
    }
