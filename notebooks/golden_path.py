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
# # Does SGD follow the path of its noiseless counterpart?
#
# **Finding.** It depends on the regime. Online, with small steps, it mostly does: linear, logistic and diagonal models
# and a ReLU regression lose their gap once the noise is gone, and are nowhere ahead. With a large step size over batch
# size and labels without noise, a ReLU regression that had noise is ahead by a fifth of the loss: noise helped. AdamW
# with a schedule has more than half of its gap left after 500 steps. Offline all three settings fork: noise chooses
# another function, and wins, on the diagonal network from about ten epochs on, and the more the smaller the batch.
# Whether two joined runs are one function depends on the baseline: they are nearer than runs from another start, and
# in places farther than new data alone would leave them.

# %%
import os

from sgdlimits import compare, discrete
from sgdlimits.problems import tasks
from sgdlimits.studies.golden_path import GoldenPathStudy, plots

reduced = bool(os.environ.get("SGDLIMITS_REDUCED"))
seeds = 4 if reduced else 20

# %% [markdown]
# ## One model, one noise drop, two kinds of data
#
# A diagonal linear network on 100 inputs of which five matter, batch size 1. At step 1000 the noise goes: on fresh
# samples the gap closes; on 40 rows, used again and again, the run that had noise keeps its lead.

# %%
drops = {}
for where, rows in (("online", None), ("offline", 40)):
    task = tasks.diagonal_network(rows=rows)
    drops[where] = compare.golden_path(
        task, discrete.SGD(task.problem, 0.02), 1000, batch_size=None, steps=2000 if reduced else 4000, seeds=seeds
    )
drops["online"]

# %%
drops["offline"]

# %%
plots.side_by_side(drops["online"], drops["offline"])

# %% [markdown]
# ## How much noise, and how many epochs?
#
# Loss relative to that without noise. Below zero noise helps.

# %%
task = tasks.diagonal_network(rows=40, noise=0.1)
doses = compare.dose_response(
    task, discrete.SGD(task.problem, 0.02), 500 if reduced else 2000, batch_sizes=[1, 2, 4, 8], seeds=seeds
)
doses.plot_epochs()

# %% [markdown]
# ## Where theory is exact
#
# On least squares the gap is known without sampling: it closes by a power of time, and noise never helps.

# %%
task = tasks.linear_regression(dimension=50)
sgd = discrete.SGD(task.problem, 0.05, batch_size=4)
linear = compare.golden_path(task, sgd, 200, batch_size=64, steps=1200, seeds=64 if reduced else 256)
linear.plot_gap(log=True)

# %% [markdown]
# ## Thirteen settings
#
# The four criteria one by one, with the regime of each.

# %%
study = GoldenPathStudy(tasks="logistic-regression", seeds=4, quick=True) if reduced else GoldenPathStudy()
result = study.run()
result

# %%
plots.losses(result.drops)

# %%
plots.functions(result.drops)
