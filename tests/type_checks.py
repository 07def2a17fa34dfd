"""Checks annotated types in the tests; jaxtyping adds the shapes. An int does for a float, as in PEP 484."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
