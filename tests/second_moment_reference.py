"""The second-moment recurrence of SGD written out in positions, of floats or of many digits, and its fixed point.

It knows nothing of modes, pairs or closed forms: a state is (x, m, 1), and E state state^T moves by one linear map.
"""

import itertools

import mpmath
import numpy as np


def solve(matrix, right):
    """Gaussian elimination with row pivots, for arrays of floats or of mpmath numbers."""
    system = np.column_stack([matrix, right])
    n = len(right)
    for k in range(n):
        pivot = k + int(np.argmax(np.abs(system[k:, k].astype(object))))
        system[[k, pivot]] = system[[pivot, k]]
        system[k + 1 :, k:] -= np.multiply.outer(system[k + 1 :, k] / system[k, k], system[k, k:])
    found = np.zeros(n, dtype=system.dtype)
    for k in range(n - 1, -1, -1):
        found[k] = (system[k, n] - system[k, k + 1 : n] @ found[k + 1 :]) / system[k, k]
    return found


def many_digits(values):
    """An array of mpmath numbers, exactly these."""
    return np.vectorize(lambda value: mpmath.mpf(float(value)), otypes=[object])(np.asarray(values, dtype=float))


def affine(gradient, matrix, mu, nesterov):
    """One step of (x, m, 1) with the batch gradient `gradient` (d, d + 1) of (x, 1); the matrix is a step size."""
    d = len(matrix)
    one, still = np.eye(d, dtype=matrix.dtype), np.zeros((d, d), dtype=matrix.dtype)
    seen = np.hstack([gradient[:, :d], still, gradient[:, d:]])
    buffer = seen + mu * np.hstack([still, one, still[:, :1]])
    moved = seen + mu * buffer if nesterov else buffer
    place = np.hstack([one, still, still[:, :1]]) - matrix @ moved
    last = np.zeros((1, 2 * d + 1), dtype=matrix.dtype)
    last[0, -1] = 1
    return np.vstack([place, buffer, last])


def entering(matrix, mu, nesterov):
    """What a noise of the gradient does to (x, m, 1), (2 d + 1, d)."""
    d = len(matrix)
    one = np.eye(d, dtype=matrix.dtype)
    return np.vstack([-matrix * (1 + mu if nesterov else 1), one, np.zeros((1, d), dtype=matrix.dtype)])


def settled(mean, operator):
    """Mean (d,) of x and covariance (2 d, 2 d) of (x, m) that one step leaves: operator @ vec(Z) = vec(Z)."""
    size = len(mean)
    system = np.eye(size * size, dtype=mean.dtype) - operator
    right = np.zeros(size * size, dtype=mean.dtype)
    system[-1], system[-1, -1], right[-1] = 0, 1, 1
    second = solve(system, right).reshape(size, size)
    centre = second[:-1, -1]
    return centre[: size // 2], second[:-1, :-1] - np.outer(centre, centre)


def additive(hessian, noise, matrix, mu=0, nesterov=False):
    """Of the same noise covariance everywhere."""
    mean = affine(np.column_stack([hessian, 0 * hessian[:, :1]]), matrix, mu, nesterov)
    enters = entering(matrix, mu, nesterov)
    operator = np.kron(mean, mean)
    operator[:, -1] += (enters @ noise @ enters.T).ravel()
    return settled(mean, operator)


def streaming(covariance, truth, variance, batch, matrix, mu=0, nesterov=False, ridge=0):
    """Of Gaussian features: Cov g = (A P A + tr(P A) A + variance A) / batch, P the second moment about the truth."""
    d, one = len(truth), np.eye(len(truth), dtype=matrix.dtype)
    gradient = np.column_stack([covariance + ridge * one, -covariance @ truth])
    mean, enters = affine(gradient, matrix, mu, nesterov), entering(matrix, mu, nesterov)
    about = np.column_stack([one, 0 * one, -truth])
    noise = np.kron(covariance @ about, covariance @ about)
    noise = noise + np.outer(covariance.ravel(), (about.T @ covariance @ about).ravel())
    noise[:, -1] += variance * covariance.ravel()
    assert noise.shape == (d * d, len(mean) ** 2)
    return settled(mean, np.kron(mean, mean) + np.kron(enters, enters) @ noise / batch)


def listed(features, targets, batch, replaced, matrix, mu=0, nesterov=False, ridge=0, label_variance=0, newton=None):
    """Of every batch of these rows; what `newton` makes of a batch's Hessian, if given, multiplies its gradient."""
    n, d = features.shape
    one = np.eye(d, dtype=matrix.dtype)
    batches = list(itertools.product(range(n), repeat=batch) if replaced else itertools.combinations(range(n), batch))
    operator, centre = 0, 0
    for chosen in batches:
        rows, labels = features[list(chosen)], targets[list(chosen)]
        hessian = rows.T @ rows / batch
        front = matrix if newton is None else matrix @ newton(hessian)
        gradient = np.column_stack([hessian + ridge * one, -rows.T @ labels / batch])
        step, enters = affine(gradient, front, mu, nesterov), entering(front, mu, nesterov)
        whole = np.kron(step, step)
        whole[:, -1] += (enters @ hessian @ enters.T).ravel() * label_variance / batch
        operator, centre = operator + whole, centre + step
    return settled(centre / len(batches), operator / len(batches))
