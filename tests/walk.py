"""A recurrence of a user's own, for tests of what every simulation takes."""

from sgdlimits.ensembles import Purpose


class Walk:
    """x <- 0.9 x + N(0, 1) in d dimensions."""

    def __init__(self, dimension):
        self.dimension = dimension

    def initial_state(self, x0):
        return x0.copy()

    def step(self, k, state, stream):
        return 0.9 * state + stream.normals(Purpose.USER, k, self.dimension)

    def position(self, state):
        return state
