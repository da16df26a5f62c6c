"""What is said of rates of escape at finite step sizes, and whether it holds for a given descent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sgdlimits.exact.claims import Claim
from sgdlimits.exact.errors import InvalidInput, instance_of

from .descent import LandscapeDescent
from .driver import rate
from .exponents import exponent
from .kramers import kramers

HOLDS = 1e-6  # relative difference of exponents that is none

SUBSTITUTION = Claim(
    "the exponent of the rate of escape at a finite step size is that of Kramers' formula with 2 in 2 barrier / "
    "(step_size c) replaced by 2 - step_size curvature, curvature that of the minimum",
    (
        "gradient noise of one variance c",
        "a common reading of the theory of fluctuations at finite step sizes, where the stationary variance has this "
        "factor: the text of the paper that would state it was not seen",
    ),
    "derived",
)
CUSPS = Claim(
    "for a harmonic well with a wall at distance b the exponent is b^2 / (2 variance), with the exact stationary "
    "variance: the factor 2 - step_size curvature (with momentum 2 - step_size curvature / (1 + momentum)) is right; "
    "and the rate tends to the mass of the stationary law beyond the wall",
    ("Gaussian noise that is the same everywhere",),
    "derived",
)
SMOOTH = Claim(
    "over a smooth saddle the exponent has no correction of first order in the step size: the quasi-potential is "
    "2 U / (step_size c) - |grad U|^2 / (2 c) + O(step_size), and the gradient vanishes at the saddle",
    ("Gaussian noise of one variance c", "step_size times the curvature of the minimum below 1: beyond, overshoot"),
    "derived",
)


@dataclass(frozen=True)
class Substitution:
    """The claim `SUBSTITUTION` on one descent, with its verdict.

    Attributes
    ----------
    claim : Claim
    claimed : float
        Exponent by the claim.
    exponent, error : float
        The exact one.
    verdict : {"holds", "fails"}
    too_fast : float
        Kramers' prefactor with the claimed exponent, over the exact rate; nan where that is not asked for.
    because : Claim
        What theory says instead, or why it holds.
    """

    claim: Claim
    claimed: float
    exponent: float
    error: float
    verdict: str
    too_fast: float
    because: Claim

    def __str__(self) -> str:
        rates = "" if math.isnan(self.too_fast) else f"; the rate it gives is {self.too_fast:.4g} times the exact one"
        return (
            f"{self.verdict}: exponent {self.claimed:.6g} claimed, {self.exponent:.6g} +- {self.error:.2g} exact{rates}"
            f"\n{self.claim}\n{'as' if self.verdict == 'holds' else 'instead'}: {self.because}"
        )


def substitution(descent: LandscapeDescent, rates: bool = True) -> Substitution:
    """Whether 2 - step_size curvature may be put into Kramers' exponent: at walls it may, over a saddle not.

    Parameters
    ----------
    descent : LandscapeDescent
        On a line, with Gaussian noise that is the same everywhere.
    rates : bool
        Whether rates are compared too, by the transfer operator.

    Raises
    ------
    InvalidInput
        If the descent is another.
    """
    instance_of("descent", descent, LandscapeDescent, "made of a landscape, a step size and a noise")
    if descent.dimension != 1 or not descent.additive or descent.law is not None:
        raise InvalidInput("the claim is about one curvature: pass a descent on a line, with a variance as its noise")
    known, exact = kramers(descent), exponent(descent)
    curvature = float(descent.hessian[0, 0])
    claimed = known.exponent * (1 - descent.step_size * curvature / (2 * (1 + descent.momentum)))
    holds = abs(claimed - exact.exponent) <= max(exact.error, HOLDS * exact.exponent)
    too_fast = known.prefactor * math.exp(-claimed) / rate(descent, method="transfer").rate if rates else math.nan
    smooth = descent.landscape.saddle is not None
    return Substitution(
        SUBSTITUTION, claimed, exact.exponent, exact.error, "holds" if holds else "fails", too_fast,
        SMOOTH if smooth else CUSPS,
    )  # fmt: skip
