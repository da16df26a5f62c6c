# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does a finite step size do?
#
# **Finding.** The stationary law of SGD is known exactly wherever second moments close, and no continuous limit has
# it: at half of the mean-square threshold on the diabetes data the excess loss is underestimated by a quarter by
# homogenized SGD and by 40 % by the Ornstein-Uhlenbeck process; the modified equation of second order, better on finite
# time, is farther off at stationarity than the first. The shape of fluctuations turns round towards the threshold, the
# best weight decay falls below zero where step size times curvature is over one, and SGD samples a posterior exactly
# with a preconditioner that continuous time misses. On losses whose moments do not close a quadratic whose samples are
# expanded at the minimum is right up to about two thirds of its threshold.

# %%
import os

import numpy as np

from sgdlimits import diffusions, discrete, problems
from sgdlimits.discrete import fluctuation
from sgdlimits.studies.finite_step_size import general_losses, many_dimensions, one_dimension, plots
from sgdlimits.studies.finite_step_size.curves import Scale

reduced = bool(os.environ.get("SGDLIMITS_REDUCED"))
scale = Scale(points=5 if reduced else 9, paths=1000 if reduced else 10_000, batch_size=4, seed=0, quick=reduced)

# %% [markdown]
# ## The variance on a line
#
# Additive noise, momentum, and minibatches: black lines are exact, points are paths.

# %%
plots.curves([one_dimension.additive(scale), *one_dimension.momentum(scale), one_dimension.streaming(scale)])

# %% [markdown]
# ## Any Hessian, any noise
#
# The covariance solves a matrix equation; nothing needs to commute. Directions in which nothing settles are named, and
# left out on request.

# %%
hessian, noise = [[1.0, 0.4], [0.4, 0.5]], [[1.0, -0.6], [-0.6, 1.5]]
sgd = discrete.SGD(problems.NoisyQuadratic(hessian, noise), 0.5, momentum=0.5)
print(sgd.stationary().covariance, sgd.stability(), fluctuation.ellipse(sgd), sep="\n")

# %%
curve, ellipses = many_dimensions.shape(scale)
plots.ellipses(ellipses)

# %%
plots.curves([curve])

# %% [markdown]
# ## Methods beside each other on data
#
# Exact excess loss at stationarity, and the relative error of what limits say in its place.

# %%
problem = problems.LeastSquares.from_dataset("diabetes", ridge=0.1, test_fraction=0.2, seed=0)
half = 0.5 * discrete.SGD(problem, 0.01, 4).stability().mean_square_threshold
newton = np.linalg.inv(problem.hessian + 0.1 * np.eye(problem.dimension))
print(fluctuation.table(
    {
        "SGD": discrete.SGD(problem, half, 4),
        "heavy ball": discrete.SGD(problem, 0.1 * half, 4, momentum=0.9),
        "Newton": discrete.SGD(problem, 0.1, 20, preconditioner=newton),
    },
    [diffusions.HomogenizedSGD.of, diffusions.ModifiedEquation.of],
))  # fmt: skip

# %%
data, _, _ = many_dimensions.on_data(scale, "diabetes", problem)
plots.curves([data, many_dimensions.decay_on_a_line(scale)])

# %% [markdown]
# ## Averages, correlations, sampling
#
# The mean of a window of iterates, and the step size at which SGD is nearest to a Gaussian posterior: exactly, and as
# continuous time has it.

# %%
sgd = discrete.SGD(problem, half, 4)
for window in (1, 10, 100, 1000):
    mean = fluctuation.average(sgd, window)
    print(f"window {window:5}: excess loss {float(mean.risk) - problem.least_risk:.3g}")
print(fluctuation.posterior(discrete.SGD(problem, 0.1, 20), samples=problem.samples))
print(fluctuation.dissipation(sgd))

# %% [markdown]
# ## Where the law does not close
#
# A classifier and a tanh network: theory of the quadratic at the minimum beside paths.

# %%
plots.curves([general_losses.logistic(scale), general_losses.network(scale)])
