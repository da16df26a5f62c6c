"""Sweeps: a function, a simulation or a study in every cell of a grid, kept as it is done."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")
