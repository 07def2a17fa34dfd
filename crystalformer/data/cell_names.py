"""The cells by which crystals can be stored; `crystalformer.sources.cells` finds them."""

AS_GIVEN, PRIMITIVE, NIGGLI = CELLS = ("as-given", "primitive-standard", "niggli")
