"""The page docs/which_scheme.md and its figure, from the classes' own claims and from measured curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sgdlimits.diffusions import SCHEMES, UserDiffusion, find_scheme
from sgdlimits.diffusions.solvers import NOISE_TYPES, Coefficients, step_noise_nodes

COLOURS = {"own": "#1f4e79", "torchsde": "#c0392b", "diffrax": "#b8660b", "sdeint": "#6c3483"}
MARKERS = {"own": "o", "torchsde": "s", "diffrax": "^", "sdeint": "D"}
RECOMMENDED = ("euler", "ri6", "sriw1", "sra1", "exponential_euler", "strang", "weak_strang", "ninomiya_victoir")
FLOOR = 1e-9  # relative errors below it are exact for any purpose


def evaluations(name: str, noise_type: str) -> tuple[int, int]:
    """Calls of drift and diffusion in one step, counted; two coordinates, two Brownian motions (scalar: one)."""
    calls = {"drift": 0, "diffusion": 0}

    def drift(t: Any, x: np.ndarray) -> np.ndarray:
        calls["drift"] += 1
        return -x

    def diffusion(t: Any, x: np.ndarray) -> np.ndarray:
        calls["diffusion"] += 1
        full = np.stack([0.1 * x, 0.1 * x[:, ::-1]], axis=-1)
        return (
            np.eye(2)
            if noise_type == "additive"
            else full
            if noise_type in ("commutative", "general")
            else 0.1 * x
        )

    m = 1 if noise_type == "scalar" else 2
    process = UserDiffusion(drift, diffusion, 2, m, noise_type, linear=np.ones(2))
    coefficients, scheme = Coefficients(process, 0.0, np.ones(2)), find_scheme(name)
    _, noise = step_noise_nodes(scheme, m, 0.01, 1)
    calls.update(drift=0, diffusion=0)
    scheme.step(coefficients, 0.0, np.ones((len(noise.increments), 2)), 0.01, noise)
    return calls["drift"], calls["diffusion"]


def draw(panels: dict[str, list[Any]], folder: Path) -> None:
    """Error against time a path, a panel a problem, every curve named at its end."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(15, 12.5), constrained_layout=True)
    for axis, (label, curves) in zip(axes.ravel(), panels.items(), strict=True):
        lowest = min(error for curve in curves for error in curve.errors if error > FLOOR)
        ends = []
        for curve in curves:
            seen = curve.errors > FLOOR
            style = {"color": colour(curve), "marker": MARKERS[curve.library], "markersize": 4.5, "linewidth": 1.4}
            if not seen.any():  # an arrow below everything else
                axis.loglog(curve.seconds[0] * 1e6, lowest / 4, **{**style, "marker": "v"})
                ends.append((curve, curve.seconds[0] * 1e6, lowest / 4, f"{curve.label} (exact)"))
                continue
            x, y = curve.seconds[seen] * 1e6, curve.errors[seen]
            axis.loglog(x, y, linestyle="-" if curve.library == "own" else "--", **style)
            ends.append((curve, x[-1], y[-1], curve.label))
        _name_ends(axis, ends)
        axis.set_title(label, loc="left", fontsize=13)
        axis.grid(True, which="major", color="0.92", linewidth=0.6)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.set_xlabel("CPU time a path (microseconds)")
        axis.set_ylabel("relative bias of E|X|$^2$" if label != "homogenized SGD" else "relative bias of E risk")
    title = "Bias against time: lower left is better. Solid: this package; dashed: other libraries"
    figure.suptitle(title, fontsize=14)
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"which_scheme.{suffix}", dpi=130)
    plt.close(figure)


def colour(curve: Any) -> str:
    """The library's; our schemes that the page recommends stand out."""
    if curve.library == "own" and curve.label not in RECOMMENDED:
        return "#6b8cab"
    return COLOURS[curve.library]


def _name_ends(axis: Any, ends: list[Any]) -> None:
    # Names stand in a column at the right, in the order of the ends, pushed apart; a thin line leads to each.
    low, high = axis.get_xlim()
    bottom, top = (np.log10(value) for value in axis.get_ylim())
    axis.set_ylim(10**bottom, 10**top)
    axis.set_xlim(low, high * (high / low) ** 0.36)
    column, gap = high * (high / low) ** 0.03, (top - bottom) / 30
    ends = sorted(ends, key=lambda end: end[2])
    heights = np.array([np.log10(end[2]) for end in ends])
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    heights[-1] = min(heights[-1], top - gap / 2)
    for i in range(len(heights) - 2, -1, -1):
        heights[i] = min(heights[i], heights[i + 1] - gap)
    for (curve, x, y, label), height in zip(ends, heights, strict=True):
        axis.plot([x, column], [y, 10**height], color=colour(curve), linewidth=0.4, alpha=0.7)
        axis.text(column, 10**height, " " + label, color=colour(curve), fontsize=9, va="center")


def write_page(
    folder: Path,
    panels: dict[str, list[Any]],
    rows: list[Any],
    ratio: float | None,
    asked: float,
    tolerance: float,
) -> None:
    """docs/which_scheme.md."""
    lines = [
        "# Which scheme?",
        "",
        "| your diffusion | you want expectations | you want paths |",
        "|---|---|---|",
        "| homogenized SGD, Ornstein-Uhlenbeck (built in) | `moments`: exact, no scheme; sampled: "
        "`weak_strang` (E risk of order 2), Ornstein-Uhlenbeck `exponential_euler` (exact) | "
        "`strang`, `exponential_euler` |",
        "| additive noise | `sra1`, or `exponential_euler` with `linear=` | "
        "`sra1`, `sra3` (adaptive with `tolerance=`) |",
        "| scalar or diagonal noise | `ri6`, `ninomiya_victoir` | `sriw1` (adaptive with `tolerance=`) |",
        "| commutative noise | `ri6` | `sri2`, `milstein` |",
        "| general noise | `ri6`; with exact flows `ninomiya_victoir` | `euler`, `heun` |",
        "| a stiff drift | `exponential_euler` with `linear=`, else `drift_implicit_euler` | the same |",
        "| a drift that grows faster than linearly | `tamed_euler`, `drift_implicit_euler` | the same |",
        "| anything, roughly and fast | `weak_euler` | `euler` |",
        "",
        "To a stated accuracy, dt and paths chosen for you: `diffusions.multilevel`; at a dt of your own: "
        "`diffusions.monte_carlo`. Both stop by one rule (`ensembles/stopping.py`): a pilot fixes how many paths are "
        "drawn, fresh ones give the estimate, and their intervals hold what they say for rare events too.",
        "",
        "## Orders that the classes claim, and cost",
        "",
        "Strong order / weak order by noise type; 0 is no claim. Evaluations of drift + diffusion in one step are "
        "counted on diagonal noise (else the first type that the scheme treats) and on general noise, two Brownian "
        "motions.",
        "",
        "| scheme | " + " | ".join(NOISE_TYPES) + " | increments | drift + diffusion a step | adaptive |",
        "|---|" + "---|" * (len(NOISE_TYPES) + 3),
    ]
    for name, scheme in SCHEMES.items():
        orders = " | ".join(_orders(scheme, kind) for kind in NOISE_TYPES)
        first = "diagonal" if "diagonal" in scheme.noise_types else scheme.noise_types[0]
        kinds = [first] + (["general"] if "general" in scheme.noise_types else [])
        cost = "; ".join(f"{kind} {' + '.join(map(str, evaluations(name, kind)))}" for kind in kinds)
        drawn = (
            scheme.increments.replace("_", "-")
            + (", areas" if scheme.areas else "")
            + (", signs" if scheme.signs else "")
        )
        lines.append(f"| `{name}` | {orders} | {drawn} | {cost} | {'yes' if scheme.adaptive else ''} |")
    lines += [
        "",
        "Sources: "
        + "; ".join(dict.fromkeys(scheme.source for scheme in SCHEMES.values() if scheme.source != "derived"))
        + ".",
        "",
        "## Measured",
        "",
        "![Error against time](which_scheme.png)",
        "",
        "Errors are biases of exact moments, ours and theirs: nothing here is sampled. Times are CPU times of whole "
        "calls on one thread, divided by the number of paths; torchsde and diffrax run native torch and compiled JAX "
        "functions in single precision on their own random numbers (diffrax: its fastest Brownian path), sdeint NumPy "
        "functions on 8 paths. Tamed Euler is left out, and on homogenized SGD all schemes whose moments do not close. "
        "Made by `python benchmarks/work_precision.py`.",
        "",
        f"### Homogenized SGD, d = 100, E risk after 200 SGD steps with a bias of {tolerance:g}",
        "",
        "| scheme | steps | bias | microseconds of CPU a path |",
        "|---|---|---|---|",
        *(
            f"| {label} | {steps} | {bias:.1e} | {seconds * 1e6:.1f} |"
            for label, steps, bias, seconds in rows
        ),
        "",
    ]
    if ratio is not None:
        lines.append(
            f"The best of ours is {ratio:.0f} times faster than the best of torchsde and diffrax (asked: {asked:g}); "
            "the same number of paths for them, one run, one thread. Of their Ito methods only Euler treats this "
            "noise; their Stratonovich methods, whose moments do not close, are not counted."
        )
    (folder / "which_scheme.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _orders(scheme: Any, kind: str) -> str:
    if kind not in scheme.orders:
        return "-"
    strong, weak = scheme.orders[kind]
    return f"{strong:g} / {weak:g}"
