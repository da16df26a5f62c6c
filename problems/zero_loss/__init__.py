"""Models whose zero-loss points form a set: one a file, with exact derivatives, and a user's own."""

from .diagonal_linear_network import DiagonalLinearNetwork
from .general_loss import GeneralLoss, NumbaLoss, UserLoss
from .hyperbola import Hyperbola
from .linear_regression import LinearRegression
from .matrix_factorisation import MatrixFactorisation
from .model import Model, Regression
from .product_sum import ProductSum
from .quadratic_difference import QuadraticDifference
from .shallow_network import ShallowNetwork
from .torch_models import TorchLoss, TorchRegression
from .user_regression import NumbaRegression, UserRegression

__all__ = [
    "DiagonalLinearNetwork",
    "GeneralLoss",
    "Hyperbola",
    "LinearRegression",
    "MatrixFactorisation",
    "Model",
    "NumbaLoss",
    "NumbaRegression",
    "ProductSum",
    "QuadraticDifference",
    "Regression",
    "ShallowNetwork",
    "TorchLoss",
    "TorchRegression",
    "UserLoss",
    "UserRegression",
]
