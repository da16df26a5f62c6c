"""What theory says of the limit on the zero-loss set."""

from sgdlimits.exact.claims import Claim

CLAIMS = (
    Claim(
        "Phi(w_k) converges to the constrained process: a flow along -P grad Reg in time k step_size "
        "sigma^2 where Reg varies on the zero-loss set, else a diffusion on it in time k step_size^2 sigma^2",
        (
            "L >= 0 vanishes on a smooth set with Hessian rank equal to its codimension",
            "noise independent from step to step, with mean 0 and variance sigma^2",
            "step_size -> 0 and sigma -> 0",
        ),
        "shalova2024",
    ),
    Claim(
        "where Reg is constant on the set and the noisy loss is not quadratic in the noise, the limit needs "
        "sigma^2 = o(step_size): otherwise a drift of relative size sigma^2 / step_size is added",
        ("as above",),
        "derived",
    ),
    Claim(
        "the bias of Phi(w_k) is O(step_size), plus O(sigma^2) in the non-degenerate regime",
        ("as above", "bounded times"),
        "derived",
        order=1.0,
    ),
)
