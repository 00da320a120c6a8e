"""Models of scikit-learn as engines: the same numbers, and never a pickle."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dicomnode.engine.adding.drafting import write_draft
from dicomnode.faults import (
    BUNDLE_UNSAFE,
    NOT_CONVERTIBLE,
    PICKLE_REFUSED,
    QUESTIONS_OPEN,
    SOURCE_INCOMPLETE,
    NodeError,
)
from dicomnode.learn import convert_sklearn
from dicomnode.learn.convert import sklearn_child
from tests.fixtures.frameworks import needed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    needed("sklearn")
    needed("skl2onnx")
    io = needed("skops.io")
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        IsolationForest,
        RandomForestClassifier,
        RandomForestRegressor,
        StackingClassifier,
        VotingClassifier,
    )
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import LocalOutlierFactor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from sklearn.svm import SVC, SVR, OneClassSVM
    from sklearn.tree import DecisionTreeClassifier

TAGS = ["PatientAge", "PatientSize", "PatientWeight"]
DRAW = np.random.default_rng(1)
TABLE = DRAW.normal(size=(150, 3)).astype(np.float32) * 10 + 40
CLASS = (TABLE[:, 0] + DRAW.normal(size=150) > 40).astype(int)
NUMBER = TABLE @ np.array([0.3, -0.1, 0.05])

MODELS = {
    "decision tree": ("classes", DecisionTreeClassifier(max_depth=4)),
    "random forest": ("classes", RandomForestClassifier(12, random_state=0)),
    "gradient boosting": ("classes", GradientBoostingClassifier(n_estimators=10)),
    "support vectors": ("classes", make_pipeline(StandardScaler(), SVC(probability=True, random_state=0))),
    "logistic, scaled and projected": (
        "classes",
        make_pipeline(StandardScaler(), PCA(2), LogisticRegression()),
    ),
    "voting": (
        "classes",
        VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())], voting="soft"),
    ),
    "stacking": (
        "classes",
        StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())]),
    ),
    "regression forest": ("regression", RandomForestRegressor(12, random_state=0)),
    "support vector regression": ("regression", make_pipeline(StandardScaler(), SVR())),
    "ridge": ("regression", Ridge()),
    "boosted regression": ("regression", GradientBoostingRegressor(n_estimators=10)),
    "isolation forest": ("anomaly", IsolationForest(n_estimators=20, random_state=0)),
    "local outlier factor": ("anomaly", LocalOutlierFactor(novelty=True)),
    "one class": ("anomaly", make_pipeline(StandardScaler(), OneClassSVM())),
}


def saved(path: Path, model, kind: str = "classes") -> Path:
    """Train a model on the table and save it as skops."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(TABLE, NUMBER if kind == "regression" else CLASS)
        io.dump(model, path)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_the_onnx_of_a_model_gives_its_numbers(name, tmp_path):
    kind, model = MODELS[name]
    path = saved(tmp_path / "model.skops", model, kind)
    told, content = sklearn_child.convert({"source": "it"}, path.read_bytes())
    assert told["kind"] == kind
    assert told["apart"] <= 1e-5
    assert content


@pytest.mark.slow
def test_a_classifier_becomes_an_engine_on_attributes(tmp_path):
    path = saved(tmp_path / "risk.skops", MODELS["random forest"][1])
    answers = {"tags": TAGS, "modality": "CT"}
    package = write_draft(convert_sklearn(path, answers), tmp_path / "engine")
    [step] = package.manifest.step
    assert (step.interpret, step.classes.names, step.classes.activation) == ("classes", ("0", "1"), "none")
    assert [one.tag for one in package.manifest.input[1].tags] == TAGS
    assert [one.what for one in package.manifest.output] == ["classification", "classification"]


@pytest.mark.long
@pytest.mark.slow
def test_an_outlier_detector_scores_strange_cases_high(tmp_path):
    path = saved(tmp_path / "strange.skops", MODELS["isolation forest"][1], "anomaly")
    told, _ = sklearn_child.convert({"source": "it"}, path.read_bytes())
    assert told["kind"] == "anomaly"
    with pytest.raises(NodeError, match="normals") as raised:
        convert_sklearn(path, {"tags": TAGS, "modality": "CT"})
    assert raised.value.fault is QUESTIONS_OPEN
    normals = [-0.2, -0.1, 0.0, 0.1]
    package = write_draft(
        convert_sklearn(path, {"tags": TAGS, "modality": "CT", "normals": normals}), tmp_path / "engine"
    )
    assert package.manifest.step[0].anomaly.normals == tuple(normals)


class Touch:
    """A pickle that runs a command when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("suffix", [".pkl", ".joblib", ".skops"])
def test_a_pickle_is_refused_with_what_to_do(suffix, tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Touch(canary)))
    with pytest.raises(NodeError) as raised:
        convert_sklearn(path, {"tags": TAGS})
    assert raised.value.fault is PICKLE_REFUSED
    assert "skops.io.dump" in raised.value.remedy
    assert "to_onnx" in raised.value.remedy
    assert not canary.exists()


def test_a_zip_without_a_schema_is_refused_as_a_pickle(tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Touch(tmp_path / "canary")))
    with pytest.raises(NodeError) as raised:
        convert_sklearn(path, {})
    assert raised.value.fault is PICKLE_REFUSED


def test_types_beyond_scikit_learn_are_refused_and_not_made(tmp_path):
    import os

    model = make_pipeline(FunctionTransformer(os.getcwd, check_inverse=False), LogisticRegression())
    path = tmp_path / "model.skops"
    io.dump(model, path)
    with pytest.raises(NodeError, match="getcwd") as raised:
        sklearn_child.convert({"source": "it"}, path.read_bytes())
    assert raised.value.fault is BUNDLE_UNSAFE


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (StandardScaler(), "neither a classifier"),
        (SVC(), "no probabilities"),
        (LocalOutlierFactor(), "novelty=True"),
    ],
)
def test_a_model_without_a_form_is_refused(model, said, tmp_path):
    path = saved(tmp_path / "model.skops", model)
    with pytest.raises(NodeError, match=said) as raised:
        sklearn_child.convert({"source": "it"}, path.read_bytes())
    assert raised.value.fault is NOT_CONVERTIBLE


def test_an_untrained_model_is_refused(tmp_path):
    path = tmp_path / "model.skops"
    io.dump(LogisticRegression(), path)
    with pytest.raises(NodeError, match="trained"):
        sklearn_child.convert({"source": "it"}, path.read_bytes())


def test_a_schema_of_somebody_else_is_named(tmp_path):
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", '{"__loader__": "NoSuchNode"}')
    with pytest.raises(NodeError) as raised:
        sklearn_child.convert({"source": "it"}, path.read_bytes())
    assert raised.value.fault is SOURCE_INCOMPLETE
