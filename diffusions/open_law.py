"""Diffusions whose moments and stationary law are not known in closed form: asked for them, they say what there is."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from sgdlimits.exact.errors import InvalidInput


class OpenLaw:
    """What such a diffusion answers.

    Attributes
    ----------
    instead : str
        What to take, after "so ".
    """

    instead: ClassVar[str]

    @property
    def moments_close(self) -> bool:
        """Whether `moments` has them: no."""
        return False

    def moments(self, *arguments: Any, **options: Any) -> Any:
        """Refused.

        Raises
        ------
        InvalidInput
        """
        self._refuse("moments")

    def stationary(self, *arguments: Any, **options: Any) -> Any:
        """Refused.

        Raises
        ------
        InvalidInput
        """
        self._refuse("stationary law")

    def _refuse(self, what: str) -> NoReturn:
        name = getattr(self, "label", type(self).__name__)
        raise InvalidInput(f"no closed form of the {what} of {name} is known: {self.instead}")
