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
# # Which scheme?
#
# **Finding.** For expectations, a scheme of weak order 2 reaches a small bias in several times fewer steps than
# Euler-Maruyama, on noise that does not commute too. For homogenized SGD, Strang splitting needs an order of
# magnitude fewer, and two-point increments leave its E risk as it is. Biases below are exact: they come from the
# schemes' own moment equations, not from sampling.

# %%
import importlib.util
import os
import time

import matplotlib.pyplot as plt
import numpy as np
from sgdlimits import diffusions, problems

reduced = bool(os.environ.get("SGDLIMITS_REDUCED"))
paths = 2_000 if reduced else 20_000
ladder = np.array([4, 16, 64] if reduced else [4, 8, 16, 32, 64, 128, 256])

# %% [markdown]
# ## What each scheme claims
# Orders are attributes of the classes: (strong, weak) by noise type.

# %%
for name, scheme in diffusions.SCHEMES.items():
    claims = ", ".join(f"{kind} {strong:g}/{weak:g}" for kind, (strong, weak) in scheme.orders.items())
    print(f"{name:22} {scheme.increments:12} {claims}")

# %% [markdown]
# ## A linear equation in the plane whose noise does not commute
# The second moment of the exact solution obeys a linear equation, and so does that of every scheme.

# %%
pull = np.array([[-1.0, 0.4], [-0.3, -0.8]])
first, second = np.array([[0.4, 0.1], [0.3, -0.2]]), np.array([[-0.2, 0.5], [0.0, 0.3]])
start = np.array([1.0, -0.5])
plane = diffusions.UserDiffusion(
    lambda t, x: x @ pull.T,
    lambda t, x: np.stack([x @ first.T, x @ second.T], axis=-1),
    2,
    2,
    linear=np.diag(-pull),
)


def second_moment(solver, steps):
    return np.trace(diffusions.linear_moments(plane, start, 1 / steps, steps, solver)[1:, 1:])


exact = second_moment("ri6", 2048)  # weak order 2: its own error is below 1e-7
names = [
    name
    for name, scheme in diffusions.SCHEMES.items()
    if "general" in scheme.noise_types and name != "tamed_euler"
]
bias = {name: [abs(second_moment(name, int(n)) / exact - 1) for n in ladder] for name in names}

# %%
figure, axis = plt.subplots(figsize=(7, 4.5))
for name in names:
    second_order = diffusions.SCHEMES[name].orders["general"][1] == 2
    axis.loglog(ladder, bias[name], color="C0" if second_order else "0.6", marker="o", markersize=3)
for place, name in enumerate(sorted(names, key=lambda name: bias[name][-1])):
    low, high = (np.log10(min(b[-1] for b in bias.values())), np.log10(max(b[-1] for b in bias.values())))
    height = 10 ** (low + (high - low) * place / (len(names) - 1))
    axis.annotate(name, (ladder[-1], bias[name][-1]), (ladder[-1] * 1.3, height), fontsize=8, va="center",
                  arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.6"})  # fmt: skip
axis.set_xlim(ladder[0] * 0.9, ladder[-1] * 5)
axis.set_xlabel("steps")
axis.set_ylabel(r"relative bias of E$|X_1|^2$")
axis.set_title("Blue: weak order 2", loc="left")
# %% [markdown]
# ## Homogenized SGD: E risk
# Exact biases of the schemes that run in fused kernels, by the number of increments in an SGD step.

# %%
problem = problems.LeastSquares.gaussian(200, 100, spectrum=0.5, noise=0.5, seed=1)
process = diffusions.HomogenizedSGD(problem, 0.5 / problem.eigenvalues.sum())
x0, steps = np.zeros(100), 100
truth = float(process.moments(x0, steps, record=[steps]).risk[-1])
for solver in process.solvers:
    scheme = float(process.moments(x0, steps, record=[steps], solver=solver).risk[-1])
    options = {"seed": 0, "solver": solver, "threads": 1, "observables": "risk", "record": [steps]}
    process.simulate(x0, steps, 16, **options)  # compiles
    begin = time.process_time()
    process.simulate(x0, steps, paths, **options)
    seconds = time.process_time() - begin
    print(
        f"{solver:20} bias {scheme / truth - 1:+.1e} with one increment a step, {seconds / paths * 1e6:7.1f} us a path"
    )

# %% [markdown]
# ## The same path in other libraries
# `solver="torchsde"`, `"sdeint"` or `"diffrax"` runs the same diffusion on the same Brownian path there; built-in
# processes become torch and JAX functions of their own. Libraries that are not installed are passed over.

# %%
ours = diffusions.integrate(process, x0, 10.0, 1.0, 16, "euler", seed=1, record=[10.0]).state.values
for library in ("torchsde", "sdeint", "diffrax"):
    if importlib.util.find_spec(library) is None:
        print(f"{library} is not installed")
        continue
    theirs = diffusions.integrate(process, x0, 10.0, 1.0, 16, library, seed=1, record=[10.0]).state.values
    print(f"{library:10} largest difference to our Euler on the same path: {np.abs(theirs - ours).max():.1e}")
