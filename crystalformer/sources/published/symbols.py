"""Chemical symbols as atomic numbers."""

SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb
Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db
Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
ATOMIC_NUMBERS = {symbol: z for z, symbol in enumerate(SYMBOLS.split(), start=1)}


def atomic_number(symbol: object) -> int:
    """Z of a symbol, blanks around it ignored; 0 for anything else, which no crystal takes."""
    return ATOMIC_NUMBERS.get(str(symbol).strip(), 0)
