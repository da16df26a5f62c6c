"""The law of one noise variable, as it is given: atoms, a distribution of scipy.stats, or a characteristic function."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .characteristic_functions import OfQuantiles, closed_form
from .cumulants import cumulants_of_moments
from .errors import InvalidInput, calling, finite_array, kind, shown

HIGHEST = 20  # order of the cumulants that are looked for
MOST_ATOMS = 2**16
RARE = 1e-18  # mass of a discrete distribution's tail that is left out, on each side
FORMS = "(values, probabilities), a frozen distribution such as scipy.stats.laplace(), or a characteristic function"
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class NoiseLaw:
    """One noise variable.

    Attributes
    ----------
    label : str
    cumulants : array
        Of orders 1, 2, ..., as many as are finite and known, at most `HIGHEST`.
    why_no_more : str
        Why there are no further ones.
    support : (float, float)
    characteristic_function : function of a float array, complex values
    majorant : function of a float array, optional
        Falls, is nowhere below the modulus, and its logarithm is concave in log t: bounds follow from it.
    atoms : (values, probabilities), optional
        All of the law but the part `lost`.
    cdf, sf, quantile : functions of a float array, optional
        P(xi <= x), P(xi > x), and the quantile function.
    """

    label: str
    cumulants: Array
    why_no_more: str
    support: tuple[float, float]
    characteristic_function: Callable[[Array], Array]
    majorant: Callable[[Array], Array] | None = None
    atoms: tuple[Array, Array] | None = None
    lost: float = 0.0
    cdf: Callable[[Array], Array] | None = None
    sf: Callable[[Array], Array] | None = None
    quantile: Callable[[Array], Array] | None = None

    @property
    def centre(self) -> float:
        """The mean, else the median, else zero."""
        if self.cumulants.size:
            return float(self.cumulants[0])
        return 0.0 if self.quantile is None else float(self.quantile(np.array(0.5)))


def noise_law(noise: Any, cumulants: Any = None) -> NoiseLaw:
    """The law that stands for what a user passes as `noise`, see `discrete.AdditiveRecurrence`.

    Raises
    ------
    InvalidInput
        If it is none of the three forms, or one of them with something missing.
    """
    frozen = all(hasattr(noise, name) for name in ("dist", "args", "kwds", "ppf"))
    if cumulants is not None and (frozen or isinstance(noise, (tuple, list))):
        raise InvalidInput("noise_cumulants belong to a characteristic function; those of this noise are computed")
    if frozen:
        return _of_distribution(noise)
    if isinstance(noise, (tuple, list)):
        return _of_atoms(noise)
    if hasattr(noise, "rvs") or hasattr(noise, "icdf") or isinstance(noise, type):
        raise InvalidInput(
            f"noise is {shown(noise)}, which is no frozen distribution: freeze one, as in scipy.stats.norm(0, 1)"
        )
    if callable(noise):
        return _of_function(noise, cumulants)
    raise InvalidInput(f"noise must be {FORMS}, got {kind(noise)}")


def _shifted(mean: float, central: Sequence[float]) -> Array:
    """Cumulants from the mean and central moments of orders 2, 3, ..."""
    found = cumulants_of_moments([0.0, *central])
    found[0] = mean
    return found


def _of_atoms(noise: Sequence[Any], lost: float = 0.0, label: str = "") -> NoiseLaw:
    if len(noise) != 2:
        raise InvalidInput(f"noise must be the two of (values, probabilities), got {len(noise)} entries")
    values = finite_array("the values of noise", noise[0], ndim=1)
    chances = finite_array("the probabilities of noise", noise[1], shape=values.shape)
    if not values.size or (chances < 0).any():
        raise InvalidInput("noise needs at least one value, and no probability below zero")
    if abs(chances.sum() + lost - 1) > 1e-9:
        raise InvalidInput(f"the probabilities of noise must add up to 1, got {chances.sum():.10g}")
    if values.size > MOST_ATOMS:
        raise InvalidInput(f"noise has {values.size} values, at most {MOST_ATOMS} can be used: put near ones together")
    chances = chances / (chances.sum() + lost)
    values, place = np.unique(values, return_inverse=True)
    chances = np.bincount(place.ravel(), chances)
    values, chances = values[chances > 0], chances[chances > 0]
    mean = float(chances @ values)
    away = values - mean
    with np.errstate(over="ignore", invalid="ignore"):
        cumulants = _shifted(mean, [float(chances @ away**n) for n in range(2, HIGHEST + 1)])
    cumulants = cumulants[: _finite(cumulants)]

    def characteristic_function(t: Array) -> Array:
        t = np.asarray(t, float)
        out = np.zeros(t.shape, complex)
        for value, chance in zip(values, chances):
            out += chance * np.exp(1j * t * value)
        return out

    below = np.cumsum(chances)
    return NoiseLaw(
        label or f"{values.size} {'value' if values.size == 1 else 'values'}", cumulants,
        "higher ones are not computed", (float(values[0]), float(values[-1])), characteristic_function,
        atoms=(values, chances), lost=lost,
        quantile=lambda u: values[np.minimum(np.searchsorted(below, u), values.size - 1)],
    )  # fmt: skip


def _finite(numbers: Array) -> int:
    """How many of the leading numbers are finite and of a size whose use cannot overflow."""
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(numbers) < 1e150)
    return int(np.argmax(bad)) if bad.any() else numbers.size


def _of_distribution(frozen: Any) -> NoiseLaw:
    family = frozen.dist
    name = getattr(family, "name", None) or type(family).__name__
    with calling(f"the distribution {name}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        middle, ends = np.asarray(frozen.ppf(0.5), float), [np.asarray(end, float) for end in frozen.support()]
        shapes, loc, scale = family._parse_args(*frozen.args, **frozen.kwds)
    if middle.ndim or any(end.ndim for end in ends):
        raise InvalidInput("noise must be one distribution, got parameters that are arrays")
    if not np.isfinite(middle):
        raise InvalidInput(f"the distribution {name} has no median: are its parameters {shown(frozen.args)} allowed?")
    support = (float(ends[0]), float(ends[1]))
    discrete = hasattr(family, "pmf")
    if discrete and (atoms := _listed(frozen, support)) is not None:
        law = _of_atoms(atoms, lost=max(0.0, 1 - float(np.sum(atoms[1]))), label=name)
        if all(map(math.isfinite, support)):
            return law
        cumulants, why = _by_moments(family, shapes, loc, 1.0)
        return NoiseLaw(
            name, cumulants, why, support, law.characteristic_function, atoms=law.atoms, lost=law.lost,
            cdf=_plain(frozen.cdf), sf=_plain(frozen.sf), quantile=_plain(frozen.ppf),
        )  # fmt: skip
    if discrete:
        raise InvalidInput(f"the distribution {name} has more than {MOST_ATOMS} values that matter: truncate it")
    form = closed_form(name, shapes)
    if form is None:
        cumulants, why = _by_moments(family, shapes, loc, scale)
        function: Callable[[Array], Array] = OfQuantiles(_plain(frozen.ppf), _plain(frozen.isf))
        majorant = None
    else:
        standard, why = form.cumulants, form.why_no_more
        cumulants = standard * float(scale) ** np.arange(1, standard.size + 1)
        cumulants[:1] += loc
        cumulants = cumulants[: _finite(cumulants)]

        def function(t: Array) -> Array:
            t = np.asarray(t, float)
            return form.function(scale * t) * np.exp(1j * loc * t)

        def majorant(t: Array) -> Array:
            return form.majorant(scale * np.abs(t))

    return NoiseLaw(
        name, cumulants, why, support, function, majorant, cdf=_plain(frozen.cdf), sf=_plain(frozen.sf),
        quantile=_plain(frozen.ppf),
    )  # fmt: skip


def _plain(method: Callable[[Array], Any]) -> Callable[[Array], Array]:
    def call(x: Array) -> Array:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return np.asarray(method(x), float)

    return call


def _listed(frozen: Any, support: tuple[float, float]) -> tuple[Array, Array] | None:
    """Values and probabilities of a discrete distribution, None where they are too many."""
    first = support[0] if math.isfinite(support[0]) else _end(frozen.cdf, -1.0)
    last = support[1] if math.isfinite(support[1]) else _end(frozen.sf, 1.0)
    if not (math.isfinite(first) and math.isfinite(last)) or last - first >= MOST_ATOMS:
        return None
    values = getattr(frozen.dist, "xk", None)
    if values is None:
        values = np.arange(first, last + 1)
    else:
        values = np.asarray(values, float) + float(frozen.kwds.get("loc", 0))
    return values, np.asarray(frozen.pmf(values), float)


def _end(tail: Callable[[float], Any], side: float) -> float:
    """A whole number beyond which the mass is below `RARE`; infinite where it lies too far out."""
    reach = 1.0
    while float(tail(side * reach)) > RARE:
        reach *= 1.5
        if reach > MOST_ATOMS:
            return side * math.inf
    return side * math.ceil(reach)


def _by_moments(family: Any, shapes: Sequence[Any], loc: float, scale: float) -> tuple[Array, str]:
    """Cumulants of a family of scipy.stats, from its moments about the mean of the standard member."""
    moments: list[float] = []
    why = "higher ones are not computed"
    for n in range(1, HIGHEST + 1):
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error")  # an integral that does not converge is a moment that is not known
                value = float(family.moment(n, *shapes))
        except (Warning, ArithmeticError, ValueError):
            value = math.nan
        if not abs(value) < 1e150:
            why = f"that of order {n} is infinite, or scipy does not find it"
            break
        moments.append(value)
    if not moments:
        return np.zeros(0), why
    raw, mean = [1.0, *moments], moments[0]
    central = [
        math.fsum(math.comb(n, m) * raw[m] * (-mean) ** (n - m) for m in range(n + 1)) for n in range(2, len(raw))
    ]
    standard = _shifted(mean, central)
    cumulants = standard * float(scale) ** np.arange(1, standard.size + 1)
    cumulants[0] += loc
    return cumulants[: _finite(cumulants)], why


def _of_function(function: Callable[[Array], Any], cumulants: Any) -> NoiseLaw:
    name = getattr(function, "__name__", type(function).__name__)

    def characteristic_function(t: Array) -> Array:
        t = np.asarray(t, float)
        with calling(f"the characteristic function {name}"):
            found = np.asarray(function(t.copy()))
        if found.shape != t.shape or found.dtype.kind not in "fciu":
            raise InvalidInput(
                f"the characteristic function {name} must return one number for each t, got shape {found.shape} of "
                f"{found.dtype} for shape {t.shape}"
            )
        if not (np.abs(found) <= 1 + 1e-9).all():
            raise InvalidInput(f"the characteristic function {name} leaves the unit disc, so it belongs to no law")
        return found.astype(complex)

    first = characteristic_function(np.array([0.0, 0.7, -0.7]))
    if abs(first[0] - 1) > 1e-9 or abs(first[1] - first[2].conj()) > 1e-9:
        raise InvalidInput(f"the characteristic function {name} must be 1 at 0, and conjugate at t and -t")
    known = np.zeros(0)
    if cumulants is not None:
        known = finite_array("noise_cumulants", cumulants, ndim=1)
        if known.size > HIGHEST or known.size >= 2 and known[1] < 0:
            raise InvalidInput(f"noise_cumulants are at most {HIGHEST} numbers, the second (variance) not below zero")
        _check_against(characteristic_function, known, name)
    return NoiseLaw(
        name, known, "pass noise_cumulants=(mean, variance, ...) with the characteristic function",
        (-math.inf, math.inf), characteristic_function,
    )  # fmt: skip


def _check_against(function: Callable[[Array], Array], cumulants: Array, name: str) -> None:
    """Refuse a mean and variance that the characteristic function contradicts near zero."""
    if cumulants.size < 2:
        return
    mean, variance = cumulants[:2]
    t = 1e-2 / (math.sqrt(mean**2 + variance) or 1.0)
    value = complex(function(np.array([t]))[0])
    gap = abs(value - np.exp(1j * t * mean - t * t * variance / 2))
    # The two differ by the third order in t; a wrong mean by the first, a wrong variance by the second.
    if gap > 0.2 * max(t * t * variance, 1e-9):
        raise InvalidInput(
            f"noise_cumulants say mean {mean:g} and variance {variance:g}, which {name} contradicts near 0"
        )
