"""SGD beside its continuous approximations: laws, orders, error budget, distances, reports."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.compare, not compare")
