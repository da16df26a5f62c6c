"""A diffusion that a user wrote for numba: linear drift of one path, diagonal noise that depends on the place."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from homogenized_sgd import RECORDS, modes
from sgdlimits.diffusions import HomogenizedSGD, UserDiffusion, integrate


def compiled_by_the_user(process: HomogenizedSGD, x0: np.ndarray, steps: int, paths: int) -> Callable[[], object]:
    """As many steps, normals and records as `homogenized_sgd.package`, in modes and by Euler's scheme."""
    start, factor, noise, eigenvalues = modes(process, x0)
    pull = factor - 1

    @numba.njit
    def drift(t, z, out):
        for i in range(z.size):
            out[i] = pull[i] * z[i]

    @numba.njit
    def diffusion(t, z, out):
        for i in range(z.size):
            out[i] = noise[i] * (1.0 + 0.1 * z[i])

    user = UserDiffusion(drift, diffusion, dimension=start.size, noise_type="diagonal", compiled=True)
    observables = {"risk": lambda z: 0.5 * np.square(z) @ eigenvalues}
    options = {"observables": observables, "record": RECORDS, "threads": 1}
    return lambda: integrate(user, start, steps, 1.0, paths, **options)
