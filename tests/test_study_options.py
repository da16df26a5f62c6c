"""Options and settings of the studies: explained with their defaults, kept in study.toml, foreign ones refused."""

import re
import warnings

import pytest

from sgdlimits.__main__ import main
from sgdlimits.exact.errors import InvalidInput, StabilityWarning
from sgdlimits.studies import STUDIES, find_study
from sgdlimits.studies.homogenized import HomogenizedStudy
from sgdlimits.studies.options import flag_of, options_of


def test_settings_survive_toml(tmp_path):
    """Awkward texts and numbers come back as they were."""
    study = HomogenizedStudy(
        data='odd "name"\\ü\t.csv', target="price\n2", step_size=0.1 + 0.2, ridge=-1e-300, seed=2**63
    )
    (tmp_path / "study.toml").write_text(study.to_toml(), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error", StabilityWarning)
        assert HomogenizedStudy.from_toml(tmp_path / "study.toml") == study


def test_a_toml_of_another_study_or_type_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    for text, sentence in (
        ('study = "other"\n[settings]\n', "holds the study 'other'"),
        ('study = "homogenized"\n', "needs study"),
        ('study = "homogenized"\n[settings]\nstandardise = 1\n', "standardise must be True or False"),
        ('study = "homogenized"\n[settings]\npaths = "many"\n', "paths must be a whole number"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidInput, match=sentence):
            HomogenizedStudy.from_toml(path)


def test_help_of_a_study_has_its_own_options_with_their_defaults(capsys):
    """Assert that every option is explained, that defaults are the fields' own, and that no option is foreign."""
    texts = {}
    for name in STUDIES:
        with pytest.raises(SystemExit) as done:
            main(["study", name, "--help"])
        assert done.value.code == 0
        texts[name] = " ".join(capsys.readouterr().out.split())
        for entry, found in options_of(find_study(name)):
            assert flag_of(entry) in texts[name]
            if isinstance(entry.default, int) and not isinstance(entry.default, bool):
                assert f"(default: {entry.default})" in texts[name]
        needs_imports = {"golden-path": "relu-regression", "scaling-laws": "pairs alpha:beta"}
        assert needs_imports.get(name, "diabetes") in texts[name]
    assert "--momentum" not in texts["zero-loss"] and "--quick" not in texts["homogenized"]
    assert main([]) == 0
    overview = capsys.readouterr().out
    assert all(name in overview for name in STUDIES)


NEEDED = {"--data", "--target", "--one-hot", "--drop"}  # about a file of the user's: there is no default


def test_every_option_is_explained_with_its_default(capsys):
    """Assert a sentence for each option in the help, and a default unless it is a switch or about the user's file."""
    for name in STUDIES:
        with pytest.raises(SystemExit):
            main(["study", name, "--help"])
        text = capsys.readouterr().out
        for block in re.split(r"\n  (?=--)", text)[1:]:
            said = " ".join(block.partition("\n\n")[0].split())
            flag, _, rest = said.partition(" ")
            assert len(rest.split()) >= 3, said
            switch = not re.match(r"[A-Z]+ ", rest)
            assert switch or flag in {*NEEDED, "--from"} or "(default: " in said, said
        from sgdlimits.problems.datasets import DATASETS
        from sgdlimits.studies.golden_path.study import task_names

        learnt = {"golden-path": task_names(), "scaling-laws": ()}.get(name, DATASETS)
        assert all(each in "".join(text.split()) for each in learnt)  # a line may end at a hyphen


@pytest.mark.parametrize("name", STUDIES)
def test_a_misspelt_option_is_answered_with_one_of_the_same_study(capsys, name):
    """Assert it for every option of every other study, misspelt, and spelt right: then its study is named."""
    own = {flag_of(entry) for entry, _ in options_of(find_study(name))}
    own |= {"--threads", "--out", "--overwrite", "--quiet", "--from", "--help"}
    for other in STUDIES:
        foreign = {flag_of(entry) for entry, _ in options_of(find_study(other))} - own
        for flag in foreign:
            assert main(["study", name, flag, "1"]) == 2
            owners = re.findall(r"'([\w-]+)'", capsys.readouterr().err.partition("it belongs to")[2].partition(",")[0])
            assert other in owners and name not in owners
            assert main(["study", name, flag + "x", "1"]) == 2
            suggested = re.findall(r"'(--[\w-]+)'", capsys.readouterr().err.partition("has no option")[2])[1:]
            assert set(suggested) <= own, suggested
