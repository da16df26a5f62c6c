"""Samples with heavy tails, drawn by counter-based generators."""

import math

import numpy as np


def generator(seed):
    return np.random.Generator(np.random.Philox(seed))


def pareto(index, n, seed):
    return generator(seed).random(n) ** (-1 / index)


def student_sample(index, n, seed):
    return generator(seed).standard_t(index, n)


def stable_sample(index, n, seed, skewness=0.0):
    """By Chambers, Mallows and Stuck, of an index other than one."""
    noise = generator(seed)
    angle, wait = math.pi * (noise.random(n) - 0.5), noise.standard_exponential(n)
    lean = skewness * math.tan(math.pi * index / 2)
    turned = index * angle + math.atan(lean)
    bent = np.sin(turned) / np.cos(angle) ** (1 / index) * (np.cos(angle - turned) / wait) ** ((1 - index) / index)
    return (1 + lean**2) ** (0.5 / index) * bent
