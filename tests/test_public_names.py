"""Names that other people's code calls, with their arguments; those of later issues are expected to be missing."""

import inspect
from importlib import import_module

import pytest

NAMES = {
    "problems": "LeastSquares LeastSquares.from_arrays LeastSquares.from_csv LeastSquares.from_dataset "
    "LeastSquares.gaussian "
    "StreamingLeastSquares NoisyQuadratic LocalQuadratic LocalExpansion SampleLoss SampleLoss.from_torch Logistic",
    "problems.zero_loss": "Hyperbola ProductSum QuadraticDifference DiagonalLinearNetwork MatrixFactorisation "
    "ShallowNetwork UserLoss",
    "problems.noise": "Minibatch LabelNoise DropConnect Dropout WeightNoise AntiCorrelated InputNoise Langevin",
    "problems.tasks": "Task Task.starts Task.outputs Task.probabilities Task.residuals Task.risk Task.test_risk "
    "Task.test_accuracy Task.noiseless Starts UserStarts Population torch_module "
    "linear_regression random_features logistic_regression "
    "diagonal_network relu_regression relu_classification digits next_character",
    "problems.geometry": "limit_map",
    "discrete": "SGD SGD.in_plain_coordinates SGD.moments SGD.stationary SGD.stability SGD.simulate SGD.sensitivities "
    "SGD.tail_index SGD.tail_index_sensitivities SGD.moment_threshold "
    "SGD.even_moments SGD.closure methods "
    "SVAG SVAG.moments SVAG.stationary SVAG.stability SVAG.simulate "
    "NoisyGradientDescent simulate kesten_index tail_exponent_bounds lipschitz_factors sharpness "
    "AdditiveRecurrence.characteristic_function AdditiveRecurrence.cumulants AdditiveRecurrence.distribution "
    "AdditiveRecurrence.distance_to_gaussian AdditiveRecurrence.simulate",
    "diffusions": "GradientFlow OrnsteinUhlenbeck ModifiedEquation HomogenizedSGD UserDiffusion integrate "
    "monte_carlo multilevel "
    "volterra_risk linear_moments to_torchsde to_sdeint to_diffrax from_torchsde from_sdeint "
    "from_diffrax ManifoldLimit "
    "ManifoldLimit.solve ManifoldLimit.simulate ManifoldLimit.of limit_map HomogenizedSGD.of "
    "OrnsteinUhlenbeck.of ModifiedEquation.of "
    "GradientFlow.of GradientFlow.solve HomogenizedSGD.moments HomogenizedSGD.sensitivities "
    "HomogenizedSGD.stationary HomogenizedSGD.stability HomogenizedSGD.tail_index HomogenizedSGD.tail_index_bounds "
    "HomogenizedSGD.tail_index_sensitivities HomogenizedSGD.moment_threshold HomogenizedSGD.even_moments "
    "ModifiedEquation.even_moments "
    "ModifiedEquation.tail_index PearsonDiffusion PearsonDiffusion.of PearsonDiffusion.moments "
    "PearsonDiffusion.stationary PearsonDiffusion.simulate PearsonDiffusion.tail_index convex_order isotropic_law "
    "StableOrnsteinUhlenbeck StableOrnsteinUhlenbeck.of StableOrnsteinUhlenbeck.law StableOrnsteinUhlenbeck.stationary "
    "StableOrnsteinUhlenbeck.simulate StableOrnsteinUhlenbeck.moments StableOrnsteinUhlenbeck.tail_index "
    "StableLangevin StableLangevin.of StableLangevin.simulate StableLangevin.tail_index "
    "UnderdampedLangevin UnderdampedLangevin.of UnderdampedLangevin.moments UnderdampedLangevin.stationary "
    "UnderdampedLangevin.stability UnderdampedLangevin.simulate AdamSDE AdamSDE.of AdamSDE.simulate "
    "RMSPropSDE RMSPropSDE.of RMSPropSDE.simulate SignSDE SignSDE.of SignSDE.simulate "
    "LandscapeDiffusion LandscapeDiffusion.of LandscapeDiffusion.homogenized LandscapeDiffusion.simulate",
    "discrete.rules": "Adam AdamW RMSProp SignSGD Clipped DampedNewton NaturalGradient StochasticNewton Proximal "
    "Preconditioned",
    "discrete.fluctuation": "table autocovariance average dissipation posterior weight_decay ellipse shapes",
    "discrete.escape": "rate exponent quasi_potential kramers substitution LandscapeDescent LossNoise Basin "
    "MultiplicativeNoise matched basin_law CosineValley Wells UserWells",
    "problems.wells": "CosineValley Wells UserWells UserWells.of Well wells_of",
    "problems.landscapes": "Basin DoubleWell PlanarDoubleWell HarmonicWell UserLandscape",
    "studies.heavy_tails": "optimiser_tails",
    "studies.exploration": "explore look valley Setting Size Basins Network",
    "ensembles": "save load concatenate Until Noise Brownian",
    "ensembles.populations": "grow",
    "compare": "Validity validity Concentration concentration Delocalisation delocalisation ScalingLaws scaling_laws "
    "closure laws orders time_scales manifold bounds tails Tails contraction snapping "
    "golden_path GoldenPath "
    "dose_response DoseResponse DoseResponse.noise_cost step_size_effect svag linear_scaling "
    "noise_cost noise_cost_of_curves NoiseCost NoiseCost.critical_batch_size "
    "exploration Exploration exit_scaling ExitScaling width_preference WidthPreference last_iterates LastIterates "
    "singular_values SingularValues finite_time_exponents FiniteTimeExponents index_and_test_error rank_correlation "
    "RankCorrelation",
    "compare.tail_estimators": "hill corrected_hill moment pickands power_law against_lognormal stable_quantiles "
    "stable_blocks student skewed_student hill_plot alt_hill_plot qq_plot survival_plot TailEstimate "
    "GoodnessOfFit goodness_of_fit",
    "studies": "sweep plot_sweep merge_stores read_store find_study index_map published_grid",
    "exact.output_distances": "total_variation residual_correlation",
    "exact.errors": "Unstable InfiniteVariance NoStationaryLaw",
}
# The issue that builds a name turns its line over: an unexpected pass fails the suite.
LATER: dict[str, str] = {}
STUDIES_NOW = (
    "homogenized", "zero-loss", "heavy-tails", "golden-path", "finite-step-size", "exploration", "validity",
    "scaling-laws",
)  # fmt: skip
STUDIES_LATER: tuple[str, ...] = ()
ARGUMENTS = {
    "problems.StreamingLeastSquares": "covariance noise minimiser ridge",
    "problems.NoisyQuadratic": "hessian noise_covariance minimiser ridge",
    "problems.SampleLoss": "value gradient samples dimension",
    "problems.tasks.Task": "name problem test start population about",
    "problems.tasks.Task.starts": "paths seed first_path",
    "problems.tasks.torch_module": "net data test loss online starts ridge name",
    **{f"problems.tasks.{name}": "rows seed" for name in (
        "linear_regression", "random_features", "logistic_regression", "diagonal_network", "relu_regression",
        "relu_classification", "digits", "next_character",
    )},
    "discrete.SGD": "problem step_size batch_size sampling momentum label_noise nesterov rule preconditioner",
    "discrete.SGD.moments": "x0 steps record quantities",
    "discrete.SGD.even_moments": "x0 steps order record",
    "discrete.SGD.moment_threshold": "order",
    "discrete.SGD.tail_index_sensitivities": "parameters",
    "diffusions.HomogenizedSGD.tail_index_sensitivities": "parameters",
    "studies.index_map": "problem step_sizes batch_sizes store workers",
    "studies.published_grid": "step_sizes batch_sizes runs full store workers",
    "compare.contraction": "sgd x0 steps p paths record seed",
    "compare.scaling_laws": "alpha beta dimensions redraws fraction batch_size ambient steps seed",
    "compare.concentration": "make dimensions ratio fraction threshold epochs at batch_size redraws paths seed",
    "compare.delocalisation": "problem draws seed",
    "compare.snapping": "sgd x0 drop_at batch_size step_size steps fractions record",
    "compare.golden_path": "task sgd drop_at batch_size step_size rule steps seeds seed margin level",
    "compare.dose_response": "task sgd steps batch_sizes step_sizes record seeds seed confidence",
    "compare.noise_cost": "sgd x0 fraction excess batch_sizes samples steps tolerance",
    "compare.noise_cost_of_curves": "steps losses batch_sizes level errors least confidence",
    "compare.last_iterates": "sgd starts steps paths seed layers estimators values exact confidence",
    "compare.singular_values": "sgd x0 steps record runs batches levels tolerance seed confidence",
    "compare.finite_time_exponents": "sgd x0 steps exponents runs burn_in every record exact seed confidence",
    "compare.index_and_test_error": "task step_size batch_size seed steps epochs runs layer estimators one_start "
    "resamples rule",
    "compare.rank_correlation": "grid error given resamples confidence seed",
    "compare.tail_estimators.against_lognormal": "sample k side centre clusters",
    "discrete.SGD.simulate": "x0 steps paths observables record seed first_path until",
    "diffusions.HomogenizedSGD.moments": "x0 steps record quantities",
    "diffusions.HomogenizedSGD.simulate": "x0 steps paths observables record seed solver substeps first_path until",
    "discrete.NoisyGradientDescent": "model step_size",
    "discrete.AdditiveRecurrence": "step_size curvature noise noise_cumulants",
    "discrete.simulate": "recurrence x0 steps paths",
    "discrete.escape.rate": "process basin method tolerance seed importance burn_in threads",
    "discrete.escape.LandscapeDescent": "landscape step_size noise momentum nesterov",
    "problems.landscapes.Basin": "score level start",
    "diffusions.ModifiedEquation": "order",
    "diffusions.HomogenizedSGD": "drift_order",
    "compare.orders": "reference others x0 steps time step_sizes rungs batch_sizes observables paths seed",
    "diffusions.UnderdampedLangevin": "problem step_size batch_size momentum nesterov order sampling label_noise",
    "diffusions.UnderdampedLangevin.moments": "x0 steps record quantities",
    "diffusions.UnderdampedLangevin.simulate": "x0 steps paths observables record seed solver substeps first_path",
    "diffusions.AdamSDE": "problem step_size batch_size betas eps weight_decay sampling label_noise",
    "diffusions.RMSPropSDE": "problem step_size batch_size alpha eps weight_decay sampling label_noise",
    "diffusions.SignSDE": "problem step_size batch_size order sampling label_noise",
    "diffusions.LandscapeDiffusion": "landscape step_size noise substeps",
    "diffusions.LandscapeDiffusion.homogenized": "landscape step_size batch_size floor substeps",
    "discrete.escape.MultiplicativeNoise": "multiplicative additive",
    "discrete.escape.matched": "reference make by near",
    "problems.wells.Wells": "widths depths positions start",
    "compare.exploration": "processes start steps paths target landscape seed confidence",
    "compare.exit_scaling": "make values",
    "compare.width_preference": "make widths",
    "diffusions.UserDiffusion": "drift diffusion dimension noise_type",
    "diffusions.ManifoldLimit": "model noise step_size",
    "diffusions.limit_map": "model w",
}


def found(module, name):
    thing = import_module(f"sgdlimits.{module}")
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def parameters(path):
    module, _, name = path.partition(".")
    return inspect.signature(found(module, name)).parameters


def each(names):
    return [(module, name) for module, listed in names.items() for name in listed.split()]


@pytest.mark.parametrize(("module", "name"), each(NAMES))
def test_a_public_name_exists(module, name):
    """Assert that what is promised can be imported and called."""
    assert callable(found(module, name))


@pytest.mark.xfail(raises=(AttributeError, ModuleNotFoundError), strict=True)
@pytest.mark.parametrize(("module", "name"), each(LATER))
def test_a_name_of_a_later_issue_exists(module, name):
    """Assert a name that is not built yet: fails until its issue moves it into NAMES."""
    found(module, name)


@pytest.mark.parametrize(("path", "names"), ARGUMENTS.items())
def test_a_public_call_takes_its_arguments(path, names):
    """Assert that the arguments keep their names, and their order where they are positional."""
    taken = list(parameters(path))
    assert set(names.split()) <= set(taken)


def test_the_studies_are_the_promised_ones():
    """Assert the names on the command line."""
    from sgdlimits.studies import STUDIES

    assert set(STUDIES_NOW) <= set(STUDIES)


@pytest.mark.xfail(strict=True)
@pytest.mark.parametrize("name", STUDIES_LATER)
def test_a_study_of_a_later_issue_exists(name):
    """Assert a study that is not built yet."""
    from sgdlimits.studies import STUDIES

    assert name in STUDIES
