"""Chemical symbols as atomic numbers."""

from crystalformer.data.elements import SYMBOLS

ATOMIC_NUMBERS = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)}


def atomic_number(symbol: object) -> int:
    """Z of a symbol, blanks around it ignored; 0 for anything else, which no crystal takes."""
    return ATOMIC_NUMBERS.get(str(symbol).strip(), 0)
