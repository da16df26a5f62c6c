"""What is computed without sampling and serves both sides: moment maps, Volterra equations, results, errors."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.exact, not exact")
