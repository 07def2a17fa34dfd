"""Error against the number of training crystals, from searches that share their test crystals."""
