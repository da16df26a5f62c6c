"""What theory says of a process: the statement, its hypotheses and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

BIBTEX = {
    "li2019": """@article{li2019,
  author  = {Li, Qianxiao and Tai, Cheng and E, Weinan},
  title   = {Stochastic Modified Equations and Dynamics of Stochastic Gradient Algorithms {I}:
             Mathematical Foundations},
  journal = {Journal of Machine Learning Research},
  volume  = {20},
  number  = {40},
  year    = {2019}
}""",
    "li2021": """@inproceedings{li2021,
  author    = {Li, Zhiyuan and Malladi, Sadhika and Arora, Sanjeev},
  title     = {On the Validity of Modeling {SGD} with Stochastic Differential Equations ({SDEs})},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021}
}""",
    "paquette2022": """@misc{paquette2022,
  author = {Paquette, Courtney and Paquette, Elliot and Adlam, Ben and Pennington, Jeffrey},
  title  = {Homogenization of {SGD} in High-Dimensions: Exact Dynamics and Generalization Properties},
  eprint = {2205.07069},
  archiveprefix = {arXiv},
  year   = {2022}
}""",
    "mandt2017": """@article{mandt2017,
  author  = {Mandt, Stephan and Hoffman, Matthew D. and Blei, David M.},
  title   = {Stochastic Gradient Descent as Approximate {B}ayesian Inference},
  journal = {Journal of Machine Learning Research},
  volume  = {18},
  number  = {134},
  year    = {2017}
}""",
    "gelbrich1990": """@article{gelbrich1990,
  author  = {Gelbrich, Matthias},
  title   = {On a Formula for the {$L^2$} {W}asserstein Metric between Measures on {E}uclidean and {H}ilbert Spaces},
  journal = {Mathematische Nachrichten},
  volume  = {147},
  year    = {1990}
}""",
    "massart1990": """@article{massart1990,
  author  = {Massart, Pascal},
  title   = {The Tight Constant in the {D}voretzky-{K}iefer-{W}olfowitz Inequality},
  journal = {The Annals of Probability},
  volume  = {18},
  number  = {3},
  year    = {1990}
}""",
    "efron2004": """@article{efron2004,
  author  = {Efron, Bradley and Hastie, Trevor and Johnstone, Iain and Tibshirani, Robert},
  title   = {Least Angle Regression},
  journal = {The Annals of Statistics},
  volume  = {32},
  number  = {2},
  year    = {2004}
}""",
    "shalova2024": """@misc{shalova2024,
  author = {Shalova, Anna and Schlichting, Andr{\\'e} and Peletier, Mark},
  title  = {Singular-limit analysis of gradient descent with noise injection},
  eprint = {2404.12293},
  archiveprefix = {arXiv},
  year   = {2024}
}""",
    "davies1973": """@article{davies1973,
  author  = {Davies, Robert B.},
  title   = {Numerical Inversion of a Characteristic Function},
  journal = {Biometrika},
  volume  = {60},
  number  = {2},
  year    = {1973}
}""",
    "kesten1973": """@article{kesten1973,
  author  = {Kesten, Harry},
  title   = {Random difference equations and Renewal theory for products of random matrices},
  journal = {Acta Mathematica},
  volume  = {131},
  year    = {1973}
}""",
    "gurbuzbalaban2021": """@inproceedings{gurbuzbalaban2021,
  author    = {G{\\"u}rb{\\"u}zbalaban, Mert and {\\c S}im{\\c s}ekli, Umut and Zhu, Lingjiong},
  title     = {The Heavy-Tail Phenomenon in {SGD}},
  booktitle = {Proceedings of the 38th International Conference on Machine Learning},
  year      = {2021}
}""",
    "hodgkinson2021": """@inproceedings{hodgkinson2021,
  author    = {Hodgkinson, Liam and Mahoney, Michael W.},
  title     = {Multiplicative Noise and Heavy Tails in Stochastic Optimization},
  booktitle = {Proceedings of the 38th International Conference on Machine Learning},
  year      = {2021}
}""",
    "jiao2024": """@inproceedings{jiao2024,
  author    = {Jiao, Zhe and Keller-Ressel, Martin},
  title     = {Emergence of heavy tails in homogenized stochastic gradient descent},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {37},
  year      = {2024}
}""",
    "liu2021": """@inproceedings{liu2021,
  author    = {Liu, Kangqiao and Ziyin, Liu and Ueda, Masahito},
  title     = {Noise and Fluctuation of Finite Learning Rate Stochastic Gradient Descent},
  booktitle = {Proceedings of the 38th International Conference on Machine Learning},
  year      = {2021}
}""",
    "ziyin2022": """@inproceedings{ziyin2022,
  author    = {Ziyin, Liu and Liu, Kangqiao and Mori, Takashi and Ueda, Masahito},
  title     = {Strength of Minibatch Noise in {SGD}},
  booktitle = {International Conference on Learning Representations},
  year      = {2022}
}""",
    "malladi2022": """@inproceedings{malladi2022,
  author    = {Malladi, Sadhika and Lyu, Kaifeng and Panigrahi, Abhishek and Arora, Sanjeev},
  title     = {On the {SDE}s and Scaling Rules for Adaptive Gradient Algorithms},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {35},
  year      = {2022}
}""",
    "salmon2011": """@inproceedings{salmon2011,
  author    = {Salmon, John K. and Moraes, Mark A. and Dror, Ron O. and Shaw, David E.},
  title     = {Parallel Random Numbers: As Easy as 1, 2, 3},
  booktitle = {Proceedings of the International Conference for High Performance Computing (SC11)},
  year      = {2011}
}""",
}


@dataclass(frozen=True)
class Claim:
    """A statement of theory that a comparison can hold or refute.

    Attributes
    ----------
    statement : str
    assumptions : tuple of str
    source : str
        A key of `BIBTEX`, or "derived" where the statement was worked out for this package.
    order : float or None
        Weak order in the step size, where that is what is claimed.
    """

    statement: str
    assumptions: tuple[str, ...]
    source: str
    order: float | None = None

    def __str__(self) -> str:
        hypotheses = "; ".join(self.assumptions) or "none"
        return f"{self.statement}\n  assumes: {hypotheses}\n  source: {self.source}"


def bibliography(claims: list[Claim]) -> str:
    """BibTeX of the sources of these claims, each once."""
    keys = dict.fromkeys(claim.source for claim in claims if claim.source in BIBTEX)
    return "\n\n".join(BIBTEX[key] for key in keys)
