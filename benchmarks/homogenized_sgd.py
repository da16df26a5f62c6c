"""Homogenized SGD by Euler's scheme, the risk recorded 50 times: this package against NumPy and its peers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from sgdlimits import problems
from sgdlimits.diffusions import HomogenizedSGD
from sgdlimits.ensembles.normals import fill_normals, scratch
from sgdlimits.ensembles.random import PACK

RECORDS = 50
PEERS = {"torchsde": 12.0, "diffrax": 6.0, "sdeint": 60.0}  # ratios asked for at d = 100 and 1000


def setting(dimension: int) -> tuple[HomogenizedSGD, np.ndarray]:
    """A stable problem with power-law eigenvalues and the start of every path."""
    problem = problems.LeastSquares.gaussian(2 * dimension, dimension, spectrum=0.5, noise=0.5, seed=1)
    step_size = 0.5 / problem.eigenvalues.sum()
    return HomogenizedSGD(problem, step_size, batch_size=1), np.zeros(dimension)


def package(
    process: HomogenizedSGD, x0: np.ndarray, steps: int, paths: int, quality: str = "float32", threads: int = 1
) -> Callable[[], object]:
    """This package, everything included: result as a labelled data set."""
    options = {"observables": ("risk",), "record": RECORDS, "quality": quality, "threads": threads}
    return lambda: process.simulate(x0, steps, paths, **options)


def modes(process: HomogenizedSGD, x0: np.ndarray) -> tuple[np.ndarray, ...]:
    """What every rival needs: start, drift factors, noise factors and the quadratic risk, in modes."""
    problem = process.problem
    return (
        problem.to_modes(x0),
        1 - process.step_size * problem.curvatures,
        process.step_size * np.sqrt(problem.eigenvalues / process.batch_size),
        problem.eigenvalues,
    )


def numpy_in_place(process: HomogenizedSGD, x0: np.ndarray, steps: int, paths: int) -> Callable[[], object]:
    """Vectorised NumPy without allocations, its fastest generator."""
    start, factor, noise, eigenvalues = modes(process, x0)
    floor = 2 * process.problem.risk_at_minimiser

    def run() -> list[np.ndarray]:
        generator = np.random.Generator(np.random.SFC64(0))
        z, xi, square = np.tile(start, (paths, 1)), np.empty((paths, start.size)), np.empty((paths, start.size))
        kept, every = [], max(steps // RECORDS, 1)
        for step in range(steps):
            np.multiply(z, z, out=square)
            risk = square @ eigenvalues
            risk += floor
            if step % every == 0:
                kept.append(risk / 2)
            np.sqrt(risk, out=risk)
            generator.standard_normal(out=xi)
            xi *= noise
            xi *= risk[:, None]
            z *= factor
            z += xi
        return kept

    return run


def normals_alone(dimension: int, steps: int, paths: int, quality: str = "float32") -> Callable[[], object]:
    """Drawing the same number of normals with the same kernel, and nothing else."""
    from sgdlimits.exact.compiling import compiled

    normals, words = scratch(quality)
    per_block = 4 * normals.shape[0] // words.shape[0]

    @compiled
    def draw(normals, words, packs, fills, blocks):
        for pack in range(packs):
            for k in range(fills):
                fill_normals(normals, words, 0, 3, pack * 16, k * blocks)

    fills = math.ceil(steps * dimension / normals.shape[0])
    return lambda: draw(normals, words, math.ceil(paths / PACK), fills, normals.shape[0] // per_block)


def torchsde_euler(process: HomogenizedSGD, x0: np.ndarray, steps: int, paths: int) -> Callable[[], object]:
    """torchsde, diagonal noise, its own Brownian motion, float32."""
    import torch
    import torchsde

    torch.set_num_threads(1)
    start, factor, noise, eigenvalues = (torch.tensor(v, dtype=torch.float32) for v in modes(process, x0))
    floor = 2 * process.problem.risk_at_minimiser

    class Equation(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: object, z: torch.Tensor) -> torch.Tensor:
            return (factor - 1) * z

        def g(self, t: object, z: torch.Tensor) -> torch.Tensor:
            return torch.sqrt((z * z) @ eigenvalues + floor)[:, None] * noise

    times = torch.linspace(0, steps, RECORDS)

    def run() -> torch.Tensor:
        with torch.no_grad():
            z = torchsde.sdeint(Equation(), start.repeat(paths, 1), times, method="euler", dt=1.0)
            return (z * z) @ eigenvalues

    return run


def diffrax_euler(process: HomogenizedSGD, x0: np.ndarray, steps: int, paths: int) -> Callable[[], object]:
    """diffrax under vmap and jit, with its unsafe (fastest) Brownian path, float32."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import lineax

    start, factor, noise, eigenvalues = (jnp.asarray(v, dtype=jnp.float32) for v in modes(process, x0))
    floor = 2 * process.problem.risk_at_minimiser

    def one(key: jax.Array) -> jax.Array:
        path = diffrax.UnsafeBrownianPath(shape=start.shape, key=key)
        control = diffrax.ControlTerm(
            lambda t, z, args: lineax.DiagonalLinearOperator(jnp.sqrt(z * z @ eigenvalues + floor) * noise), path
        )
        terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, z, args: (factor - 1) * z), control)
        save = diffrax.SaveAt(ts=jnp.linspace(0, steps, RECORDS), fn=lambda t, z, args: z * z @ eigenvalues)
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, float(steps), 1.0, start, saveat=save, max_steps=steps + 1,
            adjoint=diffrax.DirectAdjoint(),
        ).ys  # fmt: skip

    many = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.PRNGKey(0), paths)
    return lambda: many(keys).block_until_ready()


def sdeint_euler(process: HomogenizedSGD, x0: np.ndarray, steps: int, paths: int) -> Callable[[], object]:
    """sdeint: one path a call."""
    import sdeint

    start, factor, noise, eigenvalues = modes(process, x0)
    floor = 2 * process.problem.risk_at_minimiser
    times = np.arange(steps + 1.0)

    def drift(z: np.ndarray, t: float) -> np.ndarray:
        return (factor - 1) * z

    def diffusion(z: np.ndarray, t: float) -> np.ndarray:
        return np.diag(math.sqrt(z * z @ eigenvalues + floor) * noise)

    def run() -> None:
        for seed in range(paths):
            sdeint.itoEuler(drift, diffusion, start, times, generator=np.random.default_rng(seed))

    return run
