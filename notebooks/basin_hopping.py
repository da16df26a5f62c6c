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
# # Basin hopping: what multiplicative noise really does
#
# **Finding.** Multiplicative noise prefers wide minima, and does not find them sooner. Among wells of widths 1, 2 and 3
# behind equal barriers, with noise by which the sharpest is left equally often, it is in the widest 89.4 % of the time
# in the long run and additive noise 50.7 %, both exactly; but it needs 19 743 steps in the mean to enter it for the
# first time, and additive noise 479, as every wider well on the way holds it. In the cosine valley the shares are 98.8
# and 76.4 %. Whether it leaves a sharp well sooner depends on what is held equal, and on the landscape: at equal spread
# the rate is 0.83 of that of additive noise in the wells, and 3.9 times it in the valley. The time to leave is
# exponential in the barrier under additive noise (exponent 0.946 beside 0.950 at a wall, 1.000 beside 0.999 in a smooth
# well), and a power of the radius under multiplicative noise: at a wall the tail index itself, 4.268.

# %%
import os

import numpy as np

from sgdlimits.problems.wells import UserWells
from sgdlimits.studies import exploration
from sgdlimits.studies.exploration import ladders, plots

reduced = bool(os.environ.get("SGDLIMITS_REDUCED"))
study = exploration.ExplorationStudy(parts="basins")
steps, paths = (1000, 64) if reduced else (study.steps, study.paths)

# %% [markdown]
# ## Sharp and wide wells, and two ways to make noise alike
#
# The interquartile range of the position in the well of the start, or the rate of leaving it; both are exact, and
# different levels of noise.

# %%
wells = exploration.explore(study.setting(), steps, paths)
print(wells.matches_table().text())
wells.exploration

# %%
plots.times(wells)

# %%
plots.occupation(wells)

# %% [markdown]
# ## The cosine valley
#
# From -4.75; the numbers of step size and noise are placeholders.

# %%
if not reduced:
    valley = exploration.explore(exploration.valley(study.stable_index), steps, paths)
    print(valley.exploration)
    figure = plots.occupation(valley)
figure if not reduced else None

# %% [markdown]
# ## How the time to leave grows
#
# Exact times along ladders, and the exponents that theory gives; the other family of laws is the control.

# %%
scaling, left_out = ladders.exit_times(study.setting(), quick=reduced)
print(scaling)
plots.scaling(scaling)

# %% [markdown]
# ## Preference for width
#
# A sharp well against one of growing width, from a third between them that is left equally often.

# %%
preference = ladders.preference(study.setting(), 1.0, 3.0, study.barrier)
plots.preference(preference)

# %% [markdown]
# ## A landscape of your own
#
# Value, slope and the minima; tops are found, and what cannot be a well is refused.

# %%
side = 5.679207796
wave = UserWells(lambda x: x[:, 0] ** 2 / 20 + 1 - np.cos(x[:, 0]), lambda x: x / 10 + np.sin(x), [-side, 0.0, side])
own = exploration.explore(exploration.Setting("a wave", wave, 0.2, 1.0, 2.5), 500, 64)
plots.times(own)
