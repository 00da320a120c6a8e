"""Learn: networks of other frameworks become engine packages, and (later) networks are trained here.

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

_HOMES = {
    "convert.monai": ("convert_monai",),
    "convert.nnunet": ("convert_nnunet",),
    "convert.sklearn": ("convert_sklearn",),
    "convert.torchscript": ("convert_torchscript",),
}

__all__ = ["convert_monai", "convert_nnunet", "convert_sklearn", "convert_torchscript"]

__getattr__ = lazy_face(__name__, _HOMES)
