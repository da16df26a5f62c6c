"""The parts of `ManifoldLimit`: terms, vector fields, integrators and schemes on the zero-loss set."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.diffusions, not diffusions")
