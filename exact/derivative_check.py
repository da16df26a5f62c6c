"""Whether a derivative that a user wrote belongs to its function: difference quotients along one direction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .errors import InvalidInput

RUNGS = 0.25 / 4.0 ** np.arange(9)  # widths, down to 4e-6
TOLERANCE = 1e-4  # relative; a wrong term is far above it, a quotient of single precision mostly below


def probe(dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """A point (d,) near 1/2 in every coordinate and a direction (d,) of unit length, always the same."""
    generator = np.random.Generator(np.random.Philox(20))
    direction = generator.standard_normal(dimension)
    return 0.4 + 0.2 * generator.random(dimension), direction / np.linalg.norm(direction)


def symmetric_probe(dimension: int) -> np.ndarray:
    """A symmetric matrix (d, d) of order one, always the same."""
    matrix = np.random.Generator(np.random.Philox(21)).standard_normal((dimension, dimension))
    return (matrix + matrix.T) / (2 * np.sqrt(dimension))


def check_derivative(
    what: str,
    value: Callable[[np.ndarray], np.ndarray],
    claimed: Callable[[np.ndarray, np.ndarray], np.ndarray],
    dimension: int,
) -> None:
    """Compare a derivative along one direction with the quotient of `value` there.

    Parameters
    ----------
    what : str
        The derivative and its function, for the message: "gradient of value".
    value : function of points (K, d) with values (K, ...)
    claimed : function of a point (d,) and a direction (d,) with values (...)

    Raises
    ------
    InvalidInput
        If they differ by more than the quotient can err. Where the quotients do not settle (a kink, infinite values,
        a function far from smooth at this point) nothing is decided and nothing raised.
    """
    point, direction = probe(dimension)
    moves = RUNGS[:, None] * direction
    with np.errstate(all="ignore"):
        values = np.asarray(value(np.concatenate([point + moves, point - moves, point + moves / 2, point - moves / 2])))
        told = np.asarray(claimed(point, direction), dtype=np.float64).ravel()
        values = values.reshape(4, RUNGS.size, -1)
        if not (np.isfinite(values).all() and np.isfinite(told).all()):
            return
        widths = RUNGS[:, None]
        wide, narrow = (values[0] - values[1]) / (2 * widths), (values[2] - values[3]) / widths
        quotients = (4 * narrow - wide) / 3  # fourth order
        single = (values == values.astype(np.float32)).all()  # worked out in single precision
        resolution = 8 * np.finfo(np.float32 if single else np.float64).eps * np.abs(values).max(axis=(0, 1)) / widths
        apart = np.abs(quotients[1:] - quotients[:-1])
        error = np.maximum(apart[1:], apart[:-1]) + resolution[1:-1]
        flat = (wide[1:-1] == 0) & (wide[0] != 0)  # below the function's own resolution
        error = np.where(flat, np.inf, error)
        best = error.argmin(axis=0)
        error, found = (np.take_along_axis(a, best[None], 0)[0] for a in (error, quotients[1:-1]))
        size = np.maximum(np.abs(found), np.abs(told))
        scale = size.max()
        wrong = (np.abs(found - told) > TOLERANCE * size + 30 * error + 1e-9 * scale) & (error < 1e-2 * size)
    if not wrong.any():
        return
    place = int(np.argmax(np.where(wrong, np.abs(found - told) / size, 0)))
    ratio = f", {told[place] / found[place]:.4g} times as much" if found[place] else ""
    raise InvalidInput(
        f"the {what} is wrong: along one direction it says {told[place]:.6g}, and the difference quotient is "
        f"{found[place]:.6g}{ratio}; correct a sign, a factor or a missing term"
    )
