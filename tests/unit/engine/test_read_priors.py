"""What engine.toml may say of earlier studies and of other Frames of Reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.engine import match_further, match_prior, may_be_prior
from dicomnode.engine.manifest.inputs import InputSpec, PriorSpec, Requirement
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.faults import NodeError
from dicomnode.values import SeriesFacts
from tests.unit.analyse.forms import CT, LESION, ONE, engine, node, onnx_bytes, step
from tests.unit.analyse.test_forms_inputs import FLOAT

BODY = f'[[output]]\nmap = "difference"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
PRIOR = """
[[input]]
name = "before"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }, { fact = "spacing_k_mm", at_most = 3.0 }]
outside = -1000.0
"""


def loaded(folder: Path, *more: str) -> Manifest:
    network = onnx_bytes(
        [node("Sub", ["a", "b"], ["y"])],
        [("a", [1, 1, "k", "j", "i"]), ("b", [1, 1, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], FLOAT)],
    )
    keys = 'inputs = { a = ["ct"], b = ["before"] }\ninterpret = "map"'
    body = step(keys=keys, gate="shapes = { a = [1, 1, 8, 8, 8], b = [1, 1, 8, 8, 8] }") + BODY
    return engine(folder / "e", body, {"net.onnx": network}, CT + PRIOR + "\n".join(more)).manifest


def facts(uid: str, **tags: str | None) -> SeriesFacts:
    return SeriesFacts(
        study_instance_uid="1.2",
        series_instance_uid=uid,
        tags={name: value for name, value in {"Modality": "CT", **tags}.items() if value is not None},
        facts={"spacing_k_mm": 2.0, "instances": 100},
    )


def test_a_prior_has_its_defaults(tmp_path: Path) -> None:
    manifest = loaded(tmp_path, 'register = "rigid"', "[input.prior]")
    (prior,) = manifest.priors
    assert prior.prior == PriorSpec(months_at_most=36.0, required=False)
    assert manifest.beside == ()
    assert [one.name for one in manifest.volumes] == ["ct", "before"]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (["[input.prior]"], "input[2].register"),
        (['register = "rigid"', "[input.prior]", "months_at_most = 0"], "months_at_most"),
        (['register = "rigid"', "[input.prior]", "count = 2"], "count"),
        (['register = "elastic"'], "register"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(tmp_path: Path, more: list[str], key: str) -> None:
    with pytest.raises(NodeError) as error:
        loaded(tmp_path, *more)
    assert key in str(error.value)


@pytest.mark.parametrize("more", ['register = "rigid"', "[input.prior]"])
def test_the_first_input_is_neither_a_prior_nor_registered(tmp_path: Path, more: str) -> None:
    with pytest.raises(NodeError) as error:
        engine(tmp_path / "e", step(keys='interpret = "map"') + BODY, {"net.onnx": b"x"}, CT + more + "\n")
    assert "input[1]" in str(error.value)


def test_no_series_of_the_study_itself_is_taken_for_a_prior(tmp_path: Path) -> None:
    manifest = loaded(tmp_path, 'register = "rigid"', "[input.prior]")
    first, second = facts("1.2.1"), facts("1.2.2")
    assert match_further(manifest, [first, second], first) == {}


COMPARED = 'register = "rigid"\n[input.prior]\ncompare = true\n'
LESIONS = f"""
[[output]]
segment = "nodule"
step = "net"
kind = "lesion"
category = {LESION}
type = {LESION}
tracking = "Nodule {{number}}"
"""
VOLUME = 'measure = ["volume_ml"]\n'


def comparing(
    folder: Path,
    prior: str = COMPARED,
    *,
    first: str = CT,
    more: str = "",
    of: str = "ct",
    output: str = LESIONS + VOLUME,
) -> Manifest:
    """An engine that segments lesions, and is run on an earlier study, too."""
    shape = [1, 1, "k", "j", "i"]
    network = onnx_bytes([node("Abs", ["a"], ["y"])], [("a", shape)], [("y", shape, FLOAT)])
    keys = f'inputs = {{ a = ["{of}"] }}\ninterpret = "sigmoid"'
    body = step(keys=keys, gate="shape = [1, 1, 8, 8, 8]") + output
    given = PRIOR.replace("outside = -1000.0\n", "")
    return engine(folder / "e", body, {"net.onnx": network}, first + more + given + prior).manifest


def test_a_prior_that_the_steps_run_on_is_read_by_none_of_them(tmp_path: Path) -> None:
    manifest = comparing(tmp_path)
    assert manifest.compared is manifest.input[1]
    assert manifest.priors == (manifest.input[1],)
    assert loaded(tmp_path / "other", 'register = "rigid"', "[input.prior]").compared is None


OTHER = """
[[input]]
name = "pet"
kind = "volume"
require = [{ tag = "Modality", equals = "PT" }]
"""


@pytest.mark.parametrize(
    ("how", "key", "says"),
    [
        ({"prior": "[input.prior]\ncompare = true\n"}, "input[2].register", "rigid"),
        ({"prior": f"outside = -1000.0\n{COMPARED}"}, "input[2].outside", "as the first input is"),
        ({"prior": f'prepare = [{{ orient = "LPS" }}]\n{COMPARED}'}, "input[2].prepare", "as the first"),
        ({"prior": f"beside_first = true\n{COMPARED}"}, "input[2].beside_first", "as the first input is"),
        ({"of": "before"}, "input[2].prior.compare", "an input that no step reads"),
        ({"more": OTHER, "of": "pet"}, "input[3].prior.compare", "it has nothing for pet"),
        ({"prior": COMPARED + PRIOR.replace("before", "older") + COMPARED}, "compare", "nothing for older"),
        ({"output": LESIONS}, "input[2].prior.compare", "a lesion and has its volume measured"),
        ({"output": LESIONS.replace('"lesion"', '"tissue"') + VOLUME}, "compare", "is a lesion"),
        ({"first": CT.replace("volume", "picture")}, "input[2].prior.compare", 'of kind "volume"'),
        ({"prior": COMPARED.replace("true", '"yes"')}, "compare", "true or false"),
    ],
)
def test_a_prior_that_cannot_be_compared_is_refused(
    tmp_path: Path, how: dict[str, str], key: str, says: str
) -> None:
    with pytest.raises(NodeError) as error:
        comparing(tmp_path, **how)
    assert key in str(error.value)
    assert says in str(error.value)


SPEC = InputSpec(
    name="before",
    kind="volume",
    require=(
        Requirement(tag="Modality", equals="CT"),
        Requirement(fact="spacing_k_mm", at_most=3.0),
        Requirement(tag="ConvolutionKernel", present=True),
    ),
    register="rigid",
    prior=PriorSpec(),
)


def test_the_rules_are_asked_of_what_has_come() -> None:
    good = facts("1.2.1", ConvolutionKernel="B30")
    assert match_prior(SPEC, [facts("1.2.2"), good]) is good
    said = match_prior(SPEC, [facts("1.2.2")])
    assert isinstance(said, str)
    assert "Kernel" in said


def test_what_an_archive_does_not_tell_may_still_hold() -> None:
    told = SeriesFacts(study_instance_uid="1.2", series_instance_uid="1.2.1", tags={"Modality": "CT"})
    assert may_be_prior(SPEC, told) is not None
    other = SeriesFacts(study_instance_uid="1.2", series_instance_uid="1.2.1", tags={"Modality": "MR"})
    assert may_be_prior(SPEC, other) is None
