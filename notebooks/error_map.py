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
# # An error map: homogenized SGD over step size and batch size
#
# **Finding.** On the diabetes data the stationary excess risk of homogenized SGD is 8 to 9 % too high at small step
# sizes, which no smaller step size cures (its closure, 2 L(x) H for the true covariance of the gradients, is wrong by
# that much), and by more than half too low near the mean-square threshold. In between the error passes through zero,
# at a fifth to a third of the threshold: good agreement there is two errors that cancel. Measured in thresholds, the
# map hardly depends on the batch size. All numbers of the maps are exact.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
from sgdlimits import diffusions, discrete, ensembles, problems, studies

reduced = bool(os.environ.get("SGDLIMITS_REDUCED"))
problem = problems.LeastSquares.from_dataset("diabetes")
least = problem.risk(problem.minimiser[None])[0]
store = Path(tempfile.mkdtemp()) / "error-map"

# %% [markdown]
# A cell is a function of the swept names. The step size is given as a share of SGD's own mean-square threshold, which
# depends on the batch size.


# %%
def excess(process):
    return process.stationary().risk - least


def errors(share, batch_size):
    threshold = discrete.SGD(problem, 0.01, batch_size).stability().mean_square_threshold
    sgd = discrete.SGD(problem, share * threshold, batch_size)
    homogenized, modified = diffusions.HomogenizedSGD.of(sgd), diffusions.ModifiedEquation.of(sgd, order=1)
    return {
        "homogenized": excess(homogenized) / excess(sgd) - 1,
        "modified": excess(modified) / excess(sgd) - 1,
        "step_size": share * threshold,
    }


shares = np.geomspace(0.02, 0.9, 6 if reduced else 16)
over = {"share": shares, "batch_size": [1, 2, 4, 8, 16, 64]}
grid = studies.sweep(errors, over, store=store)
grid

# %%
grid["homogenized"].attrs["long_name"] = "relative error of the stationary excess risk, homogenized SGD"
grid["share"].attrs["long_name"] = "step size / mean-square threshold"
studies.plot_sweep(grid, "homogenized")

# %% [markdown]
# The first modified equation has the true covariance of the gradients. Its error vanishes with the step size; what is
# left of homogenized SGD's at the left edge is the closure alone.

# %%
grid["modified"].attrs["long_name"] = "relative error of the stationary excess risk, modified equation"
studies.plot_sweep(grid, "modified")

# %%
closure = grid["homogenized"].isel(share=0)
print("homogenized SGD at 2 % of the threshold:", closure.values.round(3))
print("modified equation at 2 % of the threshold:", grid["modified"].isel(share=0).values.round(4))

# %% [markdown]
# The store keeps every cell. Two more batch sizes cost their own cells and no others; the same call after a crash would
# compute what is missing.

# %%
wider = studies.sweep(errors, {**over, "batch_size": [1, 2, 4, 8, 16, 64, 128, 442]}, store=store, progress=True)
wider["homogenized"].attrs["long_name"] = "relative error, homogenized SGD, batches of 442"
studies.plot_sweep(wider, "homogenized", batch_size=442)

# %% [markdown]
# One cell again by simulation, with as many paths as an interval of +- 0.02 % of the mean risk takes. The interval
# holds the exact value, and more paths, run later, extend the ensemble.

# %%
sgd = discrete.SGD(problem, float(grid["step_size"].sel(batch_size=4).isel(share=0)), batch_size=4)
steps, start = 400, np.zeros(problem.dimension)
until = ensembles.Until("risk", relative=2e-4, confidence=0.99)
run = sgd.simulate(start, steps, paths=100_000, observables="risk", record=[steps], seed=0, until=until)
exact = float(sgd.moments(start, steps, record=[steps], quantities=("risk",)).risk[-1])
print(f"{run.attrs['until_low']:.5f} to {run.attrs['until_high']:.5f}, exact {exact:.5f}; {run.attrs['until_why']}")
assert run.attrs["until_low"] <= exact <= run.attrs["until_high"]

# %%
more = sgd.simulate(
    start, steps, paths=500, observables="risk", record=[steps], seed=0, first_path=run.attrs["paths_spent"]
)  # fmt: skip
ensembles.concatenate(run, more).sizes
