"""What a ladder of step sizes holds fixed on the way to a limit, and in which small parameter its order is counted."""

from __future__ import annotations

from dataclasses import dataclass

NOISE = "noise"  # the standard deviation of the batch gradient, which a batch size or a label noise sets


@dataclass(frozen=True)
class Held:
    """One quantity over a power of the step size, the same on every rung.

    Attributes
    ----------
    setting : str
        A field of the process or of its rule, or "noise".
    power : float
        The quantity is in proportion to step_size^power.
    complement : bool
        Whether the quantity is 1 less the setting, as of a momentum.
    """

    setting: str
    power: float
    complement: bool = False

    def at(self, value: float, ratio: float) -> float:
        """The setting where the step size is `ratio` times that of `value`."""
        return 1 - (1 - value) * ratio**self.power if self.complement else value * ratio**self.power

    def __str__(self) -> str:
        name = f"(1 - {self.setting})" if self.complement else self.setting
        return f"{name} {'/' if self.power > 0 else '*'} {_power('step_size', abs(self.power))}"


@dataclass(frozen=True)
class Ladder:
    """How a limit is approached.

    Attributes
    ----------
    held : tuple of Held
        Everything else stays as it is, but for the step size.
    power : float
        The order is counted in step_size^power.
    """

    held: tuple[Held, ...] = ()
    power: float = 1.0

    @property
    def parameter(self) -> str:
        """The small parameter, as a formula."""
        return _power("step_size", self.power)

    @property
    def scales_noise(self) -> bool:
        """Whether the noise of a step is scaled along."""
        return any(held.setting == NOISE for held in self.held)

    @property
    def ratio(self) -> float:
        """Step size of the next rung over that of one, by default: the small parameter halves, or the noise doubles.

        With scaled noise a rung has a quarter of the batch size, so that batch sizes stay whole.
        """
        return 0.5 if self.scales_noise else 0.5 ** (1 / self.power)

    def __str__(self) -> str:
        fixed = ", ".join(map(str, self.held)) or "everything but the step size"
        return f"{fixed} held fixed; order counted in {self.parameter}"


STEP_SIZE = Ladder()


def _power(name: str, power: float) -> str:
    return {1.0: name, 0.5: f"sqrt({name})"}.get(power, f"{name}^{power:g}")
