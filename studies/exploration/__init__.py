"""What multiplicative noise does: maps of the tail index, and published grids beside what is exact of them."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")
