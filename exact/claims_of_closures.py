"""What theory says of natural gradient descent and adaptive rules whose matrix is frozen at its mean."""

from .claims import Claim

FROZEN = "the matrix of the rule stands still at its mean under the stationary law"
NATURAL_2021 = Claim(
    "the paper gives, as another restates it, the covariance (step_size / 2) [1 / (1 + momentum) + 1 / ((1 - momentum) "
    "batch_size)] H^-1 of natural gradient descent",
    (FROZEN, "Fisher matrix H Sigma H, noise of a batch that over batch_size", "quadratic loss of Hessian H"),
    "liu2021",
)
NATURAL_2022 = Claim(
    "the paper states the covariance (step_size / 2) [1 / ((1 + d) (1 + momentum)) + 1 / ((1 - momentum) batch_size)] "
    "H^-1 of natural gradient descent",
    (FROZEN, "Gaussian features, labels without noise", "Fisher matrix H Sigma H + tr(H Sigma) H"),
    "ziyin2022",
)
MARGINAL = Claim(
    "at these covariances the second moment under the frozen matrix is multiplied by exactly 1 a step: an iteration "
    "for it neither grows nor arrives, and the equation alone fixes the scale",
    (FROZEN, "labels without noise"),
    "derived",
)
RECOMPUTED = Claim(
    "with the matrix recomputed at every step, E 1 / (z . H z) = 1 / (step_size [(d - 1/2) / batch_size + 1/4]), z = "
    "x - truth, so that the covariance is about step_size / batch_size H^-1 for many parameters, twice what the "
    "closure says",
    ("centred Fisher matrix of all", "Gaussian features, labels without noise, no momentum", "more than 2 parameters"),
    "derived",
)
HEAVY = Claim(
    "its stationary law has the tail index d - 2: the variance is infinite for d up to 4, and there is no law for d "
    "up to 2",
    ("as above", "the law has a positive density at the truth"),
    "derived",
)
ADAM_TYPE = Claim(
    "covariance (step_size^2 / 4) [1 / (1 + momentum) + 1 / ((1 - momentum) batch_size)]^2 I of a rule with the "
    "matrix J^-1/2",
    (FROZEN, "J = H Sigma H, noise of a batch J over batch_size", "labels without noise"),
    "derived",
)
ADAPTIVE = Claim(
    "covariance of the descent preconditioned by diag(1 / (sqrt(E g^2) + eps)), E g^2 under that law itself",
    (FROZEN, "running means of g^2 over many steps", "quadratic loss"),
    "derived",
)
