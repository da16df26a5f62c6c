"""What theory says of the limit on the zero-loss set."""

from sgdlimits.exact.claims import Claim

CLAIMS = (
    Claim(
        "Phi(w_k) converges to the constrained process: a flow along -P grad Reg in time k step_size sigma^2 where "
        "Reg varies on the zero-loss set, else a diffusion on the set in time k step_size^2 sigma^2",
        (
            "L >= 0 vanishes on a smooth set with Hessian rank equal to its codimension",
            "noise independent from step to step, with mean 0 and variance sigma^2",
            "step_size -> 0; sigma -> 0 where Reg varies on the set, or sigma^2 = o(step_size) where it does not "
            "and the noisy loss is not quadratic in the noise",
        ),
        "shalova2024",
    ),
    Claim(
        "the bias of Phi(w_k) is O(step_size), plus O(sigma^2) in the non-degenerate regime",
        ("as above", "bounded times"),
        "derived",
        order=1.0,
    ),
)
