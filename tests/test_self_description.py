"""What the command line says of itself to other programs: every option as JSON, and completion in shells."""

import json
import re
import shutil
import subprocess
import sys

import pytest

import sgdlimits
from sgdlimits import parsers
from sgdlimits.__main__ import main
from sgdlimits.studies import STUDIES, find_study
from sgdlimits.studies.options import flag_of, options_of
from tests.optional import optional


def test_list_json_describes_every_option_of_every_study(capsys):
    """Assert names, flags, types, defaults and what is allowed, as the settings themselves have them."""
    assert main(["list", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["version"] == sgdlimits.__version__
    assert {study["name"]: study["purpose"] for study in content["studies"]} == STUDIES
    for study in content["studies"]:
        settings = find_study(study["name"])
        fields = [entry for entry, _ in options_of(settings)]
        assert [(o["name"], o["flag"], o["default"]) for o in study["options"]] == [
            (entry.name, flag_of(entry), entry.default) for entry in fields
        ]
        for option in study["options"]:
            assert option["type"] in ("bool", "int", "float", "str") and len(option["help"].split()) > 1
            assert option["allowed"] is None or option["allowed"] and all(map(str, option["allowed"]))
            if option["allowed"] and option["default"] is not None:
                given = option["default"].split(",") if option["several"] else [option["default"]]
                assert set(given) <= set(option["allowed"])
    first = {option["name"]: option for option in content["studies"][0]["options"]}
    assert first["sampling"]["allowed"] == ["with_replacement", "without_replacement", "reshuffle"]
    assert first["step_size"]["type"] == "float" and "threshold" in first["step_size"]["default_text"]
    assert [name for name, option in first.items() if not option["stored"]] == ["minutes"]
    assert "euler" in first["solver"]["allowed"]


def test_one_parser_knows_every_verb_and_option_and_a_new_verb_is_added_to_it(monkeypatch):
    """Assert it of the verbs there are, and of one more that takes a study."""
    monkeypatch.setitem(parsers.VERBS, "repeat", {"NAME [options]": "run a study again and again"})
    monkeypatch.setitem(
        parsers.OF_STUDIES, "repeat", lambda parser, name: parser.add_argument("--times", type=int, metavar="N")
    )
    assert re.search(r"sgdlimits repeat NAME \[options\] +run a study again", parsers.overview())
    whole = parsers.whole_parser()
    for name in STUDIES:
        for verb, own in (("study", "--out"), ("repeat", "--times")):
            for entry, _ in options_of(find_study(name)):
                words = [verb, name, flag_of(entry), *([] if entry.type == "bool" else ["3"]), own, "2"]
                found = vars(whole.parse_args(words))
                assert found[own[2:]] == {"--out": "2", "--times": 2}[own] and entry.name in found
                assert str(found[entry.name]) in ("3", "3.0", str(not entry.default))
    assert vars(whole.parse_args(["list", "--json"]))["json"]


COMPLETED = {
    "": set(parsers.VERBS),
    "study ho": {"homogenized"},
    "study homogenized --st": {"--step-size", "--steps"},
    "study homogenized --step-size 0.1 --mom": {"--momentum"},
    "study homogenized --sampling re": {"reshuffle"},
    "study zero-loss --qu": {"--quick", "--quiet"},
    "study zero-loss --dataset air": {"airfoil"},
    "study homogenized --data go": {"good.csv"},
    "sweep homogenized --ov": {"--over"},
    "list --j": {"--json"},
    "completion z": {"zsh"},
}


@pytest.mark.extras
def test_bash_completes_verbs_studies_options_values_and_files(tmp_path, monkeypatch, capsys):
    """Assert it by the function that the script gives to bash, for every line of `COMPLETED`."""
    optional("shtab")
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    assert main(["completion", "bash"]) == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text("a,b\n1,2\n")
    (tmp_path / "script").write_text(capsys.readouterr().out)
    asked = "".join(f"try sgdlimits {line}" + ("''" if not line else "") + "\n" for line in COMPLETED)
    code = (
        'source ./script\ntry() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n'
        '_shtab_sgdlimits sgdlimits "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"\n'
        'echo "${COMPREPLY[*]}"; }\n'
    )
    done = subprocess.run([bash, "--norc", "-c", code + asked], capture_output=True, text=True, check=True)
    assert [set(line.split()) for line in done.stdout.splitlines()] == list(COMPLETED.values()), done.stderr


@pytest.mark.extras
@pytest.mark.parametrize("shell", parsers.SHELLS)
def test_a_script_for_each_shell_names_every_study(capsys, shell):
    optional("shtab")
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in STUDIES) and "step-size" in text


def test_without_shtab_completion_says_how_to_install_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.count("\n") == 1 and "pip install shtab" in error
    assert main(["completion", "--help"]) == 0
    assert "pip install" in capsys.readouterr().out
