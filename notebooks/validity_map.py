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
# # For step sizes small enough: how small?
#
# **Finding.** On the diabetes data gradient flow meets the expected risk of SGD within 5 % up to a step size that grows
# in proportion to the batch size: 1.3e-4 at batch size 1, a thousandth of the mean-square threshold, and 0.039 with all
# rows. Limits with noise serve up to about a tenth of the threshold whatever the batch size, where the finite step, not
# the form of the noise, uses up the allowance; only the modified equation of order 2 goes on to a quarter. At batch
# sizes 1 and 2 homogenized SGD is the first to fail, by its form of the covariance, and serves again at larger steps,
# where two errors cancel.

# %%
import os

import numpy as np
from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.studies.validity import validity_map

reduced = bool(os.environ.get("SGDLIMITS_REDUCED"))
problem = problems.LeastSquares.from_dataset("diabetes", ridge=0.1)

# %% [markdown]
# ## The map
#
# Every cell is exact. The horizon is three relaxation times of the slowest mode, not a number of steps: in a fixed
# number of steps small step sizes move nothing, and every limit looks right.

# %%
sizes = [1, 4, 16, 442] if reduced else np.unique(np.geomspace(1, 442, 20).astype(int))
found = validity_map(problem, sizes)
found.plot()

# %% [markdown]
# What uses up the allowance first is the largest term of the error budget at the step where that happens.

# %%
found

# %% [markdown]
# ## One batch size
#
# Errors of order 1 are straight lines of slope 1. Where a line bends or dips two terms of the budget cancel, so that a
# limit serves again at larger step sizes for no good reason.

# %%
found.plot_errors()

# %% [markdown]
# ## Relative to what?
#
# Relative to the part of the risk that noise makes, gradient flow never serves, and what is left of the others is how
# well they have the noise.

# %%
compare.validity(problem, over={"batch_size": [1, 16]}, scale="noise", within=0.1)

# %% [markdown]
# ## By sampling
#
# Where moments do not close, paths give the end with an interval. Here they do close, so that the interval can be
# checked.


# %%
generator = np.random.default_rng(0)
features = generator.standard_normal((60, 3))
small = problems.LeastSquares.from_arrays(features, features.sum(axis=1) + 0.5 * generator.standard_normal(60))


def make(step_size):
    sgd = discrete.SGD(small, step_size, 4)
    return sgd, diffusions.GradientFlow.of(sgd)


values = np.geomspace(1e-3, 0.3, 14)
exact = compare.validity(make, values=values, within=0.3)
sampled = compare.validity(make, values=values, within=0.3, paths=1000 if reduced else 10_000)
for row in (*exact.table(), *sampled.table()):
    print(f"{row['boundary']:.5f} from {row['low']:.5f} to {row['high']:.5f}")
