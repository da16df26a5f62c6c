"""Samples with heavy tails, drawn by counter-based generators."""

import math

import numpy as np


def generator(seed):
    return np.random.Generator(np.random.Philox(seed))


def pareto(index, n, seed):
    return generator(seed).random(n) ** (-1 / index)


def student_sample(index, n, seed):
    return generator(seed).standard_t(index, n)


def stable_sample(index, n, seed):
    """Symmetric, by Chambers, Mallows and Stuck."""
    noise = generator(seed)
    angle, wait = math.pi * (noise.random(n) - 0.5), noise.standard_exponential(n)
    first = np.sin(index * angle) / np.cos(angle) ** (1 / index)
    return first * (np.cos((1 - index) * angle) / wait) ** ((1 - index) / index)
