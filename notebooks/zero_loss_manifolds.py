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
# # Life on the zero-loss set
#
# **Finding.** Once the loss is zero, the kind of noise decides where gradient descent goes, and how fast. Label noise
# moves it in 1/(step size² sigma²) steps towards a small trace of the Hessian, Dropout and DropConnect in
# 1/(step size sigma²) steps towards their own regularisers, and minibatch noise not at all. A diagonal network on
# sparse data therefore finds the sparse truth under label noise, a dense interpolator under Dropout, and the one its
# start happens to lead to under minibatch noise; on twenty rows of real data none of them is a good one. Every one of
# these ends is predicted by the limit on the set.

# %%
import os

import numpy as np
from sgdlimits.compare import manifold, paths
from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.problems import geometry, noise, zero_loss
from sgdlimits.studies.zero_loss import ZeroLossStudy, network_plot, network_tables, plots

reduced = bool(os.environ.get("SGDLIMITS_REDUCED"))

# %% [markdown]
# ## One model by hand
# L = (xy − 1)² / 2. The gradient flow conserves x² − y², so that noise alone moves it along the hyperbola xy = 1.

# %%
model, start = zero_loss.Hyperbola(), np.array([2.2, 0.7])
print("start", start, "-> limit of the flow", geometry.limit_map(model, start))
for mechanism in (noise.LabelNoise(0.5), noise.WeightNoise(0.1), noise.Dropout(0.2), noise.Minibatch(1)):
    limit = ManifoldLimit(model, mechanism, step_size=0.05, start=start)
    print(f"\n{mechanism}: {float(limit.clock):.0f} steps per unit of time\n  {limit.explanation}")

# %% [markdown]
# Label noise against its limit over a ladder of step sizes. The comparison is made in Phi(w_k), the point that the
# gradient flow would reach from w_k: w_k itself lies off the set by the noise of its last steps.

# %%
process = NoisyGradientDescent(model, noise.LabelNoise(0.5), step_size=0.1)
comparison = manifold(process, ManifoldLimit.of(process), start, time=0.5, paths=200 if reduced else 2000, seed=0)
comparison

# %%
comparison.plot()
# %% [markdown]
# ## Paths, not only means
# A path first follows the gradient flow, and errs by the root of the step size; then Phi(w_k) follows the limit. With
# one sample the noise has no part along the set off it either, so that paths err by the step size, like their mean. The
# control is the limit with its drift doubled: every row must refute it, or says that it cannot.

# %%
found = paths(
    process, ManifoldLimit.of(process, start=start), start, time=0.5, paths=100 if reduced else 1000,
    rungs=3 if reduced else 4, looks=8 if reduced else 32, seed=0,
)
found

# %%
found.plot()

# %% [markdown]
# The limit of SGLD is random: laws of its values at several times jointly, of the largest value, and of the time at
# which x² − y² leaves an interval.

# %%
diffusing = NoisyGradientDescent(model, noise.Langevin(0.5), step_size=0.04)
laws = paths(
    diffusing, ManifoldLimit.of(diffusing, start=start), start, time=1.0 if reduced else 4.0,
    paths=200 if reduced else 4000, rungs=2, looks=8 if reduced else 16,
    coordinate=lambda w: w[..., 0] ** 2 - w[..., 1] ** 2, exit_interval=(-5.0, 9.0), seed=0,
)
laws

# %%
laws.plot(kind="distance")

# %% [markdown]
# ## Every mechanism: the study
# The same as `sgdlimits study zero-loss` on the command line.

# %%
result = ZeroLossStudy(quick=reduced, paths=60 if reduced else 300).run()
print(result.finding)

# %%
print(result)

# %% [markdown]
# ## Trajectories on the set
# In the plane, and on a set of three dimensions in coordinates of its own.

# %%
plots.curves(result.trajectories[0])

# %%
plots.curves(result.trajectories[1])

# %%
plots.space(result.trajectories[2])

# %% [markdown]
# The limit of each mechanism on top of the mean over paths, and the regulariser that it descends.

# %%
plots.against_time(result.trajectories, "chart", confidence=0.95)

# %%
plots.against_time(result.trajectories, "regulariser", confidence=0.95)

# %% [markdown]
# ## Time scales
# Both axes are logarithmic: the slopes are the exponents.

# %%
result.scales.plot()
# %% [markdown]
# ## What it is good for: sparse regression
# Three of forty coefficients are not zero, and twenty rows are given.

# %%
synthetic, real = result.regressions
plots.test_errors(synthetic, confidence=0.95)

# %%
plots.coefficients(synthetic)

# %% [markdown]
# ## Real data
# Test errors are in units of the target's variance over the training rows: the mean of the labels has about 1.

# %%
print(real.attrs["preparation"])
plots.test_errors(real, confidence=0.95)

# %%
plots.coefficients(real)

# %% [markdown]
# One subset of the rows says little; the interpolators that the regularisers prefer, on other random subsets:

# %%
for name, errors in result.subsets.items():
    print(f"{name:24} test error {errors.mean():.2f} ± {errors.std(ddof=1) / np.sqrt(errors.size):.2f}")

# %% [markdown]
# ## A two-layer network on real data
# A tanh network interpolates fifty digits, a 3 against an 8. From there every mechanism disturbs the residuals as much,
# and moves the test error on its own clock: markers with intervals at Phi(w_k), the limit (lines), and the limit at
# this step size (dashed). Minibatch noise is the control: it moves nothing.

# %%
network_plot.network(result.network, confidence=0.95)

# %%
print(network_tables.network_grid(result.network, 0.95, 0.05).text())
print(network_tables.network_finding(result.network, 0.95, 0.05))
