"""Learn: networks of other frameworks become engine packages, and networks are trained here.

The only room that loads torch, MONAI and scikit-learn, which the extra [train] installs. What leaves it is
data: ONNX files and the tables of an engine.toml (`dicomnode.engine.draft.Draft`). Nothing that serves
imports it. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.convert.monai import convert_monai
    from dicomnode.learn.convert.nnunet import convert_nnunet
    from dicomnode.learn.convert.sklearn import convert_sklearn
    from dicomnode.learn.convert.torchscript import convert_torchscript
    from dicomnode.learn.train.anomaly import AnomalyJob
    from dicomnode.learn.train.cases import trusted
    from dicomnode.learn.train.classify import ClassifyJob
    from dicomnode.learn.train.detect import DetectJob
    from dicomnode.learn.train.generator import GeneratorJob
    from dicomnode.learn.train.generator_training import TrainedGenerator, train_generator
    from dicomnode.learn.train.job import HeldOut, Job
    from dicomnode.learn.train.multitask import MultitaskJob
    from dicomnode.learn.train.multitask_cases import WantedAnswers
    from dicomnode.learn.train.needs import require_training
    from dicomnode.learn.train.package import Title
    from dicomnode.learn.train.recipe import Recipe, read_recipe
    from dicomnode.learn.train.regress import RegressJob
    from dicomnode.learn.train.search import search_recipe
    from dicomnode.learn.train.segment import SegmentJob
    from dicomnode.learn.train.training import Order, Trained, preview_sheet, train_engine

_HOMES = {
    "convert.monai": ("convert_monai",),
    "convert.nnunet": ("convert_nnunet",),
    "convert.sklearn": ("convert_sklearn",),
    "convert.torchscript": ("convert_torchscript",),
    "train.anomaly": ("AnomalyJob",),
    "train.cases": ("trusted",),
    "train.classify": ("ClassifyJob",),
    "train.detect": ("DetectJob",),
    "train.generator": ("GeneratorJob",),
    "train.generator_training": ("TrainedGenerator", "train_generator"),
    "train.job": ("HeldOut", "Job"),
    "train.multitask": ("MultitaskJob",),
    "train.multitask_cases": ("WantedAnswers",),
    "train.needs": ("require_training",),
    "train.package": ("Title",),
    "train.recipe": ("Recipe", "read_recipe"),
    "train.regress": ("RegressJob",),
    "train.search": ("search_recipe",),
    "train.segment": ("SegmentJob",),
    "train.training": ("Order", "Trained", "preview_sheet", "train_engine"),
}

__all__ = [
    "AnomalyJob",
    "ClassifyJob",
    "DetectJob",
    "GeneratorJob",
    "HeldOut",
    "Job",
    "MultitaskJob",
    "Order",
    "Recipe",
    "RegressJob",
    "SegmentJob",
    "Title",
    "Trained",
    "TrainedGenerator",
    "WantedAnswers",
    "convert_monai",
    "convert_nnunet",
    "convert_sklearn",
    "convert_torchscript",
    "preview_sheet",
    "read_recipe",
    "require_training",
    "search_recipe",
    "train_engine",
    "train_generator",
    "trusted",
]

__getattr__ = lazy_face(__name__, _HOMES)
