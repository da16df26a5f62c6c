"""What theory says of tails: of SGD on least squares, of homogenized SGD, and of other optimisers."""

from .claims import Claim

KESTEN = Claim(
    "for x' = A x + b with independent (A, b), P(|x - minimiser| > t) falls as t^-index under the stationary law, and "
    "index is the positive root of log k(s), k(s) = lim (E |A_n ... A_1|^s)^(1/n)",
    (
        "the Lyapunov exponent (log k)'(0) is below 0",
        "some products of steps expand, and their log sizes lie on no lattice",
        "products of A leave no finite set of directions or subspaces as it is",
        "E |A|^index log+ |A| and E |b|^index are finite, and no point is fixed by all steps",
    ),
    "kesten1973",
)
HEAVY_TAIL_PHENOMENON = Claim(
    "the paper states that the iterates of SGD can converge to a heavy-tailed stationary law, depending on the "
    "Hessian, the step size and the batch size, and that on a quadratic loss their variance can be infinite although "
    "all moments of the data are finite",
    ("quadratic loss", "independent data, identically distributed"),
    "gurbuzbalaban2021",
)
SGD_TAILS = (
    KESTEN,
    HEAVY_TAIL_PHENOMENON,
    Claim(
        "A = (1 - step_size ridge) I - step_size X^T X / B of a random batch X, for plain steps; label noise enters b "
        "alone and leaves the index as it is",
        ("least squares", "batches independent from step to step"),
        "derived",
    ),
)
HOMOGENIZED_TAILS = (
    Claim(
        "the paper states that homogenized SGD is asymptotically heavy-tailed, and gives explicit upper and lower "
        "bounds on its tail index, from a comparison with Pearson diffusions in convex order",
        ("regularised linear regression",),
        "jiao2024",
    ),
    Claim(
        "eta_* <= index <= eta^*, eta_* = 2 + (2 B / step_size - S) / kappa_1, eta^* = 1 + 2 B / (step_size kappa_1), "
        "kappa_i = lambda_i^2 / (lambda_i + ridge), kappa_1 their largest and S their sum. Proved here: eta^* by the "
        "convex order, eta_* by the generator. Whether they are the paper's own has not been checked",
        ("least squares, risk not zero at the minimiser", "step size at most the threshold 2 B / S"),
        "derived",
    ),
    Claim(
        "max(0, 2 + (2 B / step_size - S) / kappa_min) <= index <= min(eta^*, eta_*) < 2, proved here by the generator",
        ("least squares, risk not zero at the minimiser", "step size above the threshold 2 B / S"),
        "derived",
    ),
)
OPTIMISER_TAILS = (
    Claim(
        "the paper states that multiplicative noise makes stationary laws heavy-tailed; its abstract counts Adam among "
        "heavy-tailed cases",
        (),
        "hodgkinson2021",
    ),
    Claim(
        "steps that are bounded whatever the gradients, with a drift inward, give every moment: no power tail",
        ("steps bounded (Adam, RMSProp, sign descent, clipping, losses of bounded slope)",),
        "derived",
    ),
    Claim(
        "proximal steps on least squares multiply by (I + step_size (H + ridge))^-1, which expands nothing: every "
        "moment of what is added is finite, and so is every moment of the law",
        ("ridge at least 0",),
        "derived",
    ),
)
