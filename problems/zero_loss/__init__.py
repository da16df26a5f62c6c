"""Models whose zero-loss points form a set: one a file, with exact derivatives, and a user's own."""

from .diagonal_linear_network import DiagonalLinearNetwork
from .hyperbola import Hyperbola
from .linear_regression import LinearRegression
from .matrix_factorisation import MatrixFactorisation
from .model import Model, Regression
from .predictor_regression import PredictorRegression
from .product_sum import ProductSum
from .quadratic_difference import QuadraticDifference
from .shallow_network import ShallowNetwork
from .user_loss import UserLoss

__all__ = [
    "DiagonalLinearNetwork",
    "Hyperbola",
    "LinearRegression",
    "MatrixFactorisation",
    "Model",
    "PredictorRegression",
    "ProductSum",
    "QuadraticDifference",
    "Regression",
    "ShallowNetwork",
    "UserLoss",
]
