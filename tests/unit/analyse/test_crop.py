"""What a network sees where its box is padded."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.analyse.devices import CountingKernels, analysed
from tests.unit.analyse.forms import engine, node, onnx_bytes, run, step
from tests.unit.analyse.test_forms_fields import FIELD, FLOAT, MAP, SHAPE, output, unary


@pytest.mark.parametrize("window", ['"whole"', "{ size_kji = [8, 8, 16] }"])
@pytest.mark.parametrize("kernels", [None, CountingKernels])
def test_where_a_box_is_padded_there_is_nothing_of_what_an_earlier_step_found(
    tmp_path, make_volume, window, kernels
):
    voxels = np.full(SHAPE, -1.0, np.float32)
    voxels[1:3, 2:5, 4:9] = 1.0
    found = onnx_bytes(
        [
            node("Split", ["x"], ["image", "mask"], axis=1, num_outputs=2),
            node("ReduceSum", ["mask", "axes"], ["all"], keepdims=1),
            node("ReduceMin", ["image", "axes"], ["least"], keepdims=1),
            node("Mul", ["all", "least"], ["both"]),
            node("Add", ["mask", "both"], ["y"]),
        ],
        [("x", [1, 2, "k", "j", "i"])],
        [("y", FIELD, FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )
    keys = f'''crop = {{ of = "find", multiple = 8, pad = -5.0 }}
window = {window}
inputs = {{ x = {{ of = ["ct", "find"] }} }}
interpret = "map"'''
    body = step("find.onnx", 'interpret = "sigmoid"')
    body += step(keys=keys, gate="shape = [1, 2, 8, 8, 8]") + output("map", "sums", MAP)
    package = engine(tmp_path / "e", body, {"find.onnx": unary("Identity"), "net.onnx": found})
    given = make_volume(voxels)
    (sums,) = (run(package, given) if kernels is None else analysed(package, {"ct": given}, kernels())).maps
    inside = 2 * 3 * 5
    assert np.array_equal(sums.values, np.full((2, 3, 5), 1.0 - 5.0 * inside, np.float32))


@pytest.mark.parametrize("kernels", [None, CountingKernels])
def test_an_image_that_an_earlier_step_made_is_padded_as_images_are(tmp_path, make_volume, kernels):
    """It is in the unit of the volume, and so is `pad`."""
    voxels = np.full(SHAPE, -1.0, np.float32)
    voxels[1:3, 2:5, 4:9] = 1.0
    least = onnx_bytes(
        [
            node("ReduceMin", ["x", "axes"], ["least"], keepdims=1),
            node("Sub", ["x", "x"], ["none"]),
            node("Add", ["none", "least"], ["y"]),
        ],
        [("x", [1, 1, "k", "j", "i"])],
        [("y", FIELD, FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )
    body = step("find.onnx", 'interpret = "sigmoid"') + step("made.onnx", 'interpret = "image"')
    keys = 'crop = { of = "find", multiple = 8, pad = -5.0 }\ninputs = { x = { of = ["made"] } }\n'
    body += step(keys=keys + 'interpret = "map"') + output("map", "least", MAP)
    networks = {"find.onnx": unary("Identity"), "made.onnx": unary("Identity"), "net.onnx": least}
    package = engine(tmp_path / "e", body, networks)
    given = make_volume(voxels)
    (sums,) = (run(package, given) if kernels is None else analysed(package, {"ct": given}, kernels())).maps
    assert np.unique(sums.values).tolist() == [-5.0]
