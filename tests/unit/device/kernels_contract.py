"""What every implementation of the node's arithmetic must do. Subclass it, give `kernels`, add no assertions.

Each result is held against scipy or numpy in float64, or against what was written down by hand; none of
them against another implementation of ours.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage, sparse, special

from dicomnode.device.kernels import AxisWeights, Kernels, WindowWeights

sides = st.integers(1, 21)
shapes = st.tuples(sides, sides, sides)
seeds = st.integers(0, 2**32 - 1)
orders = st.permutations([0, 1, 2]).map(tuple)
flips = st.tuples(st.booleans(), st.booleans(), st.booleans())
# A test of the contract runs in each subclass of it; it keeps nothing from one to the other
some = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors],
)


def noise(shape, seed=0, scale=1000.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def blobs(shape, seed=0, density=0.5):
    return (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)


def a_box(data, shape):
    starts = [data.draw(st.integers(0, size - 1)) for size in shape]
    return tuple(
        (start, data.draw(st.integers(start + 1, size))) for start, size in zip(starts, shape, strict=True)
    )


def cut(box):
    return tuple(slice(start, stop) for start, stop in box)


def a_matrix(shape, target, seed):
    """An affine from target to source index: scaled, somewhat turned, and reaching beyond the source."""
    random = np.random.default_rng(seed)
    scale = np.diag([(size + 1.0) / new for size, new in zip(shape, target, strict=True)])
    linear = scale @ (np.eye(3) + random.uniform(-0.1, 0.1, (3, 3)))
    return np.column_stack([linear, random.uniform(-1.5, 0.5, 3)])


def indices(matrix, shape):
    grid = np.indices(shape, dtype=np.float64).reshape(3, -1)
    return (matrix[:, :3] @ grid + matrix[:, 3:]).reshape(3, *shape)


def interpolating(positions, size):
    """A row of two weights for each position; the weight of a neighbour beyond the edge goes to the edge."""
    low = np.clip(np.floor(positions).astype(int), 0, size - 1)
    high = np.minimum(low + 1, size - 1)
    part = np.clip(positions - low, 0.0, 1.0)
    columns = np.stack([low, high], axis=1).astype(np.int32).ravel()
    weights = np.stack([1.0 - part, part], axis=1).astype(np.float32).ravel()
    starts = np.arange(len(positions) + 1, dtype=np.int32) * 2
    return AxisWeights(row_starts=starts, columns=columns, weights=weights, length=size)


class KernelsContract:
    """The contract."""

    @pytest.fixture(scope="class")
    @classmethod
    def kernels(cls) -> Kernels:
        raise NotImplementedError

    @pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32])
    def test_values_are_scaled_and_limited(self, kernels, dtype):
        values = np.array([[0, 1, 24, 1000, 30000]], dtype=dtype)
        out = kernels.scale_clip(kernels.upload(values), slope=0.5, intercept=-12.0, low=-11.5, high=1000.0)
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out.host(), [[-11.5, -11.5, 0.0, 488.0, 1000.0]])

    def test_a_value_that_is_no_number_stays_none(self, kernels):
        values = np.array([np.nan, np.inf, -np.inf], dtype=np.float32)
        out = kernels.scale_clip(kernels.upload(values), low=-1.0, high=1.0).host()
        np.testing.assert_array_equal(out, [np.nan, 1.0, -1.0])

    def test_limits_in_the_wrong_order_are_refused(self, kernels):
        with pytest.raises(ValueError, match="low"):
            kernels.scale_clip(kernels.upload(noise((2, 2, 2))), low=1.0, high=-1.0)

    def test_a_type_that_no_kernel_takes_is_refused(self, kernels):
        wide = kernels.upload(np.zeros((2, 2, 2)))
        with pytest.raises(TypeError, match="float64"):
            kernels.scale_clip(wide, low=0.0, high=1.0)
        with pytest.raises(TypeError, match="float64"):
            kernels.turn(wide, (0, 1, 2), (False, False, False))

    @some
    @given(count=st.integers(1, 5000), seed=seeds, only_nonzero=st.booleans())
    def test_z_scores_have_mean_zero_and_deviation_one(self, kernels, count, seed, only_nonzero):
        values = noise(count + 2, seed) + np.float32(40.0)
        values[::3] = 0.0
        known = kernels.statistics(kernels.upload(values), only_nonzero=only_nonzero)
        scored = kernels.z_score(
            kernels.upload(values), mean=known.mean, std=known.std or 1.0, only_nonzero=only_nonzero
        ).host()
        wide = values[values != 0].astype(float) if only_nonzero else values.astype(float)
        expected = (values.astype(float) - wide.mean()) / (wide.std() or 1.0)
        if only_nonzero:
            expected[values == 0] = 0.0
        np.testing.assert_allclose(scored, expected, rtol=1e-4, atol=1e-4)

    def test_a_deviation_of_zero_is_refused(self, kernels):
        with pytest.raises(ValueError, match="std"):
            kernels.z_score(kernels.upload(noise((2, 2))), mean=0.0, std=0.0)

    @pytest.mark.parametrize("count", [1, 255, 256, 257, 70_001])
    @pytest.mark.parametrize("only_nonzero", [False, True])
    def test_statistics_are_those_of_numpy_in_float64(self, kernels, count, only_nonzero):
        values = noise(count, count)
        values[1::2] = 0.0
        known = kernels.statistics(kernels.upload(values), only_nonzero=only_nonzero)
        wide = (values[values != 0] if only_nonzero else values).astype(np.float64)
        assert known.count == wide.size
        assert (known.smallest, known.largest) == (wide.min(), wide.max())
        np.testing.assert_allclose([known.mean, known.std], [wide.mean(), wide.std()], rtol=1e-9, atol=1e-9)
        assert known.finite

    def test_statistics_of_nothing_but_zeros_have_no_voxels(self, kernels):
        known = kernels.statistics(kernels.upload(np.zeros((3, 4), np.float32)), only_nonzero=True)
        assert (known.count, known.mean, known.std) == (0, 0.0, 0.0)

    @pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
    def test_statistics_tell_of_a_value_that_is_no_number(self, kernels, odd):
        values = noise(1000)
        values[617] = odd
        assert not kernels.statistics(kernels.upload(values)).finite

    @some
    @given(
        shape=shapes, axes=orders, flip=flips, kind=st.sampled_from(["uint8", "int16", "uint16", "float32"])
    )
    def test_axes_are_exchanged_and_flipped(self, kernels, shape, axes, flip, kind):
        values = (np.arange(np.prod(shape)) % 251).reshape(shape).astype(kind)
        turned = kernels.turn(kernels.upload(values), axes, flip).host()
        expected = np.transpose(values, axes)[tuple(slice(None, None, -1 if turn else 1) for turn in flip)]
        assert turned.dtype == values.dtype
        np.testing.assert_array_equal(turned, expected)

    @some
    @given(shape=shapes, data=st.data())
    def test_a_box_is_cut_out(self, kernels, shape, data):
        values, box = noise(shape), a_box(data, shape)
        np.testing.assert_array_equal(kernels.crop(kernels.upload(values), box).host(), values[cut(box)])

    @pytest.mark.parametrize(
        "box", [((0, 1), (0, 1), (0, 4)), ((0, 1), (2, 2), (0, 1)), ((-1, 1), (0, 1), (0, 1))]
    )
    def test_a_box_that_leaves_the_volume_or_is_empty_is_refused(self, kernels, box):
        with pytest.raises(ValueError, match="box"):
            kernels.crop(kernels.upload(noise((3, 3, 3))), box)
        with pytest.raises(ValueError, match="box"):
            kernels.pack_bits(kernels.upload(blobs((3, 3, 3))), box)

    @some
    @given(shape=shapes, axis=st.integers(0, 2), rows=st.integers(1, 40), seed=seeds)
    def test_an_axis_is_mapped_as_a_sparse_matrix_says(self, kernels, shape, axis, rows, seed):
        random = np.random.default_rng(seed)
        matrix = sparse.random_array(
            (rows, shape[axis]), density=0.3, format="csr", dtype=np.float32, rng=random
        )
        weights = AxisWeights(
            row_starts=matrix.indptr.astype(np.int32),
            columns=matrix.indices.astype(np.int32),
            weights=matrix.data,
            length=shape[axis],
        )
        values = noise(shape, seed)
        mapped = kernels.axis_map(kernels.upload(values), weights, axis).host()
        front = np.moveaxis(values, axis, 0)
        same = (matrix @ front.reshape(len(front), -1)).reshape(rows, *front.shape[1:])
        np.testing.assert_array_equal(mapped, np.moveaxis(same, 0, axis))
        exact = np.tensordot(matrix.toarray().astype(float), front.astype(float), 1)
        np.testing.assert_allclose(mapped, np.moveaxis(exact, 0, axis), atol=2e-3)

    @some
    @given(shape=shapes, target=shapes, seed=seeds)
    def test_three_maps_are_a_trilinear_interpolation(self, kernels, shape, target, seed):
        values, result = noise(shape, seed), kernels.upload(noise(shape, seed))
        positions = [np.linspace(-0.3, size - 0.7, new) for size, new in zip(shape, target, strict=True)]
        for axis in (2, 1, 0):
            result = kernels.axis_map(result, interpolating(positions[axis], shape[axis]), axis)
        exact = ndimage.map_coordinates(
            values.astype(float), np.stack(np.meshgrid(*positions, indexing="ij")), order=1, mode="nearest"
        )
        np.testing.assert_allclose(result.host(), exact, atol=2e-3)

    def test_weights_of_another_length_are_refused(self, kernels):
        with pytest.raises(ValueError, match="axis 0"):
            kernels.axis_map(kernels.upload(noise((4, 3, 3))), interpolating(np.arange(3.0), 3), 0)

    @some
    @given(shape=shapes, target=shapes, seed=seeds)
    def test_a_volume_is_interpolated_as_scipy_does_in_float64(self, kernels, shape, target, seed):
        values, matrix = noise(shape, seed, scale=1.0), a_matrix(shape, target, seed)
        result = kernels.trilinear(kernels.upload(values), matrix, target).host()
        exact = ndimage.map_coordinates(
            values.astype(float), indices(matrix, target), order=1, mode="nearest"
        )
        np.testing.assert_allclose(result, exact, atol=2e-5)

    def test_beyond_the_outer_faces_lies_what_was_said(self, kernels):
        values = np.array([[[1.0, 3.0]]], dtype=np.float32)
        matrix = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.25, -0.75]])
        along = kernels.trilinear(kernels.upload(values), matrix, (1, 1, 11), outside=-9.0).host()[0, 0]
        # at −0.75, −0.5 (the face), −0.25, 0, …, 1, 1.25, 1.5 (the face), 1.75
        expected = [-9.0, 1.0, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0, -9.0]
        np.testing.assert_array_equal(along, expected)
        held = kernels.trilinear(kernels.upload(values), matrix, (1, 1, 11)).host()[0, 0]
        np.testing.assert_array_equal(held, [1.0, *expected[1:-1], 3.0])

    @some
    @given(shape=shapes, target=shapes, seed=seeds)
    def test_labels_are_taken_from_the_nearest_voxel(self, kernels, shape, target, seed):
        values = np.random.default_rng(seed).integers(1, 200, shape).astype(np.uint8)
        matrix = a_matrix(shape, target, seed)
        result = kernels.nearest(kernels.upload(values), matrix, target, outside=255).host()
        at = indices(matrix, target)
        last = np.array(shape)[:, None, None, None] - 1
        near = np.clip(np.rint(at), 0, last).astype(int)
        inside = ((at >= -0.5) & (at <= last + 0.5)).all(axis=0)
        # where rounding decides, either neighbour is right
        clear = (np.abs(np.abs(at - np.floor(at)) - 0.5) > 2e-3).all(axis=0)
        expected = np.where(inside, values[tuple(near)], 255)
        np.testing.assert_array_equal(result[clear], expected[clear])

    def test_half_way_between_two_labels_the_lower_index_wins(self, kernels):
        values = np.array([[[1, 2, 3]]], dtype=np.uint8)
        matrix = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, 0.0]])
        assert kernels.nearest(kernels.upload(values), matrix, (1, 1, 5)).host().tolist() == [
            [[1, 1, 2, 2, 3]]
        ]

    @pytest.mark.parametrize("matrix", [np.eye(4), np.full((3, 4), np.nan)])
    def test_a_matrix_that_is_none_is_refused(self, kernels, matrix):
        with pytest.raises(ValueError, match="matrix"):
            kernels.trilinear(kernels.upload(noise((2, 2, 2))), matrix, (2, 2, 2))

    @some
    @given(shape=shapes, window=shapes, seed=seeds, count=st.integers(1, 4))
    def test_windows_are_cut_out_and_padded(self, kernels, shape, window, seed, count):
        values, random = noise(shape, seed), np.random.default_rng(seed)
        starts = np.stack([random.integers(-size - 2, size + 3, count) for size in shape], axis=1).astype(
            np.int32
        )
        patches = kernels.gather(kernels.upload(values), starts, window, outside=-7.0).host()
        room = 64
        padded = np.pad(values, room, constant_values=-7.0)
        for start, patch in zip(starts + room, patches, strict=True):
            expected = padded[tuple(slice(s, s + n) for s, n in zip(start, window, strict=True))]
            np.testing.assert_array_equal(patch, expected[None])

    @pytest.mark.parametrize("shape", [(0, 3), (2, 2), (3,)])
    def test_starts_of_another_shape_are_refused(self, kernels, shape):
        with pytest.raises(ValueError, match="starts"):
            kernels.gather(kernels.upload(noise((4, 4, 4))), np.zeros(shape, np.int32), (2, 2, 2))

    @some
    @given(window=shapes, channels=st.integers(1, 3), count=st.integers(1, 5), seed=seeds)
    def test_windows_are_blended_as_in_float64(self, kernels, window, channels, count, seed):
        random = np.random.default_rng(seed)
        shape = tuple(size + int(more) for size, more in zip(window, random.integers(0, 9, 3), strict=True))
        starts = np.stack(
            [random.integers(0, size - one + 1, count) for size, one in zip(shape, window, strict=True)],
            axis=1,
        ).astype(np.int32)
        patches = noise((count, channels, *window), seed, scale=1.0)
        along = [random.random((count, size)).astype(np.float32) for size in window]
        weights = WindowWeights(along_k=along[0], along_j=along[1], along_i=along[2])
        sums = kernels.zeros((channels, *shape), np.float32)
        half = count // 2
        for part in (slice(0, half), slice(half, count)):  # two launches go on with the same sums
            if patches[part].size:
                some_weights = WindowWeights(
                    **{f"along_{a}": w[part] for a, w in zip("kji", along, strict=True)}
                )
                kernels.blend(sums, kernels.upload(patches[part]), starts[part], some_weights)
        exact = np.zeros((channels, *shape))
        single = np.zeros((channels, *shape), dtype=np.float32)
        for n, start in enumerate(starts):
            where = (slice(None), *(slice(s, s + size) for s, size in zip(start, window, strict=True)))
            k, j, i = (w[n].astype(float) for w in along)
            exact[where] += patches[n] * (k[:, None, None] * j[:, None] * i)
            k, j, i = (w[n] for w in along)
            single[where] += patches[n] * (k[:, None, None] * j[:, None] * i)
        np.testing.assert_allclose(sums.host(), exact, atol=2e-6)
        np.testing.assert_array_equal(sums.host(), single)
        assert weights.window == window

    def test_windows_whose_weights_sum_to_one_give_the_volume_back(self, kernels):
        values = noise((12, 10, 9), scale=1.0)
        starts = np.array([[k, j, i] for k in (0, 4) for j in (0, 2) for i in (0, 1)], dtype=np.int32)
        along = []
        for axis, length in enumerate((8, 8, 8)):
            total = np.zeros(values.shape[axis])
            one = np.exp(-0.5 * ((np.arange(length) - 3.5) / 1.0) ** 2)
            for start in sorted(set(starts[:, axis])):
                total[start : start + length] += one
            along.append(np.stack([one / total[s : s + length] for s in starts[:, axis]]).astype(np.float32))
        weights = WindowWeights(along_k=along[0], along_j=along[1], along_i=along[2])
        sums = kernels.zeros((1, *values.shape), np.float32)
        patches = kernels.gather(kernels.upload(values), starts, (8, 8, 8))
        kernels.blend(sums, patches, starts, weights)
        np.testing.assert_allclose(sums.host()[0], values, atol=1e-6)

    @some
    @given(window=shapes, channels=st.integers(1, 3), seed=seeds)
    def test_weights_that_are_no_product_are_blended_and_divided_by(self, kernels, window, channels, seed):
        random = np.random.default_rng(seed)
        shape = tuple(size + int(more) for size, more in zip(window, random.integers(0, 9, 3), strict=True))
        along = [
            np.unique([*range(0, size - one, max(one // 2, 1)), size - one]).astype(np.int32)
            for size, one in zip(shape, window, strict=True)
        ]
        starts = np.array(list(product(*along)), np.int32)
        patches = noise((len(starts), channels, *window), seed, scale=1.0)
        weights = (random.random(window) + 0.1).astype(np.float32)
        sums, within = kernels.zeros((channels, *shape), np.float32), kernels.upload(weights)
        kernels.blend_within(sums, kernels.upload(patches), starts, within)
        blended, total = np.zeros((channels, *shape), np.float32), np.zeros(shape, np.float32)
        for patch, start in zip(patches, starts, strict=True):
            where = tuple(slice(s, s + size) for s, size in zip(start, window, strict=True))
            blended[(slice(None), *where)] += patch * weights
            total[where] += weights
        np.testing.assert_array_equal(sums.host(), blended)
        part = kernels.reshaped(sums, (channels, shape[0], shape[1] * shape[2]))
        first = shape[0] // 2  # of a part of the sums, whose windows reach beyond it
        cut_off = kernels.crop(part, ((0, channels), (first, shape[0]), (0, shape[1] * shape[2])))
        below = kernels.zeros((channels, shape[0] - first, *shape[1:]), np.float32)
        whole = np.zeros((1, 3), np.int32)
        ones = WindowWeights(
            **{f"along_{a}": np.ones((1, n), np.float32) for a, n in zip("kji", below.shape[1:], strict=True)}
        )
        kernels.blend(below, kernels.reshaped(cut_off, (1, *below.shape)), whole, ones)
        kernels.normalise(below, (along[0] - np.int32(first), along[1], along[2]), within)
        kernels.normalise(sums, (along[0], along[1], along[2]), within)
        np.testing.assert_array_equal(sums.host(), blended / total)
        np.testing.assert_array_equal(below.host(), (blended / total)[:, first:])

    def test_weights_of_another_window_are_refused(self, kernels):
        sums, patches = kernels.zeros((1, 4, 4, 4), np.float32), kernels.upload(noise((1, 1, 2, 2, 2)))
        with pytest.raises(ValueError, match="do not go with"):
            kernels.blend_within(sums, patches, np.zeros((1, 3), np.int32), kernels.upload(noise((2, 2, 3))))

    @some
    @given(shape=shapes, channels=st.integers(1, 6), seed=seeds)
    def test_probabilities_are_those_of_scipy(self, kernels, shape, channels, seed):
        values = noise((channels, *shape), seed, scale=20.0)
        buffer = kernels.upload(values)
        wide = values.astype(np.float64)
        np.testing.assert_allclose(kernels.softmax(buffer).host(), special.softmax(wide, axis=0), atol=1e-6)
        np.testing.assert_allclose(kernels.sigmoid(buffer).host(), special.expit(wide), atol=1e-6)

    def test_probabilities_of_large_numbers_are_numbers(self, kernels):
        values = np.array([[[[-3e38, 3e38, 100.0]]], [[[3e38, 3e38, -100.0]]]], np.float32)
        buffer = kernels.upload(values)
        assert kernels.softmax(buffer).host()[:, 0, 0].tolist() == [[0, 0.5, 1], [1, 0.5, 0]]
        assert kernels.sigmoid(buffer).host()[0, 0, 0].tolist() == [0, 1, 1]

    @some
    @given(shape=shapes, channels=st.integers(1, 9), seed=seeds)
    def test_the_last_channel_above_wins(self, kernels, shape, channels, seed):
        values = np.random.default_rng(seed).integers(-2, 3, (channels, *shape)).astype(np.float32)
        values[0, 0, 0, 0] = np.nan
        labels = kernels.last_above(kernels.upload(values), 0.5).host()
        expected = np.zeros(shape, np.uint8)
        for channel in range(channels):
            expected[values[channel] > 0.5] = channel + 1
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, expected)

    def test_more_channels_than_there_are_numbers_are_refused(self, kernels):
        with pytest.raises(ValueError, match="255"):
            kernels.last_above(kernels.zeros((256, 1, 1, 1), np.float32), 0.0)

    @some
    @given(shape=shapes, parts=st.integers(1, 4), seed=seeds)
    def test_parts_are_joined_and_seen_under_other_lengths(self, kernels, shape, parts, seed):
        arrays = [noise((n + 1, *shape[1:]), seed + n) for n in range(parts)]
        joined = kernels.join([kernels.upload(array) for array in arrays])
        whole = np.concatenate(arrays)
        np.testing.assert_array_equal(joined.host(), whole)
        seen = kernels.reshaped(joined, (len(whole), 1, shape[1] * shape[2]))
        assert seen.shape == (len(whole), 1, shape[1] * shape[2])
        np.testing.assert_array_equal(
            kernels.threshold(seen, 0.0).host().ravel(), (whole > 0).ravel().astype(np.uint8)
        )

    def test_what_cannot_be_joined_or_seen_so_is_refused(self, kernels):
        first, second = kernels.upload(noise((2, 3, 4))), kernels.upload(noise((2, 4, 3)))
        with pytest.raises(ValueError, match="alike"):
            kernels.join([first, second])
        with pytest.raises(ValueError, match=r"\(5, ?5\)"):
            kernels.reshaped(first, (5, 5))

    @some
    @given(shape=shapes, density=st.sampled_from([0.02, 0.1, 0.3, 0.9]), seed=seeds)
    def test_components_by_corners_are_numbered_as_scipy_does(self, kernels, shape, density, seed):
        mask = blobs(shape, seed, density)
        labels, count = kernels.components(kernels.upload(mask), corners=True)
        expected, expected_count = ndimage.label(mask, np.ones((3, 3, 3)))
        assert count == expected_count
        np.testing.assert_array_equal(labels.host(), expected)

    @pytest.mark.parametrize("start", [[-1, 0, 0], [0, 0, 1]])
    def test_a_window_that_leaves_the_sums_is_refused(self, kernels, start):
        weights = WindowWeights(**{f"along_{axis}": np.ones((1, 4), np.float32) for axis in "kji"})
        sums = kernels.zeros((1, 4, 4, 4), np.float32)
        patches = kernels.upload(np.ones((1, 1, 4, 4, 4), np.float32))
        with pytest.raises(ValueError, match="leave"):
            kernels.blend(sums, patches, np.array([start], np.int32), weights)

    @some
    @given(shape=shapes, channels=st.integers(1, 9), seed=seeds)
    def test_the_first_of_the_largest_channels_wins(self, kernels, shape, channels, seed):
        values = np.random.default_rng(seed).integers(-2, 3, (channels, *shape)).astype(np.float32)
        labels = kernels.argmax(kernels.upload(values)).host()
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, values.argmax(axis=0))

    def test_more_channels_than_labels_are_refused(self, kernels):
        with pytest.raises(ValueError, match="256"):
            kernels.argmax(kernels.zeros((257, 1, 1, 1), np.float32))

    def test_a_value_at_the_threshold_is_not_above_it(self, kernels):
        values = np.array([-1.0, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), np.nan], dtype=np.float32)
        mask = kernels.threshold(kernels.upload(values), 0.5).host()
        assert mask.dtype == np.uint8
        assert mask.tolist() == [0, 0, 1, 0]

    @some
    @given(shape=shapes, density=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]), seed=seeds)
    def test_components_are_numbered_as_scipy_does(self, kernels, shape, density, seed):
        mask = blobs(shape, seed, density) * np.uint8(3)
        labels, count = kernels.components(kernels.upload(mask), label=3)
        expected, expected_count = ndimage.label(mask)
        assert count == expected_count
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels.host(), expected)
        sizes = kernels.sizes(labels, count)
        assert sizes.tolist() == [0, *np.bincount(expected.ravel(), minlength=count + 1)[1:].tolist()]

    def test_a_winding_component_is_one(self, kernels):
        mask = np.zeros((9, 9, 9), dtype=np.uint8)
        mask[::2, ::2, :] = 1  # bars along i …
        mask[::2, 1::4, 0] = mask[::2, 3::4, -1] = 1  # … joined at alternate ends into one path a plane
        mask[1::4, 0, 0] = mask[3::4, -1, -1] = 1  # and planes at alternate corners
        labels, count = kernels.components(kernels.upload(mask))
        assert count == 1
        np.testing.assert_array_equal(labels.host(), mask)

    def test_chosen_components_become_a_mask(self, kernels):
        mask = np.array([[[1, 0, 1, 1, 0, 1]]], dtype=np.uint8)
        labels, count = kernels.components(kernels.upload(mask))
        wanted = np.arange(count + 1) != 2
        chosen = kernels.chosen(labels, wanted).host()
        assert chosen.dtype == np.uint8
        assert chosen.tolist() == [[[1, 0, 0, 0, 0, 1]]]

    def test_a_label_that_does_not_go_with_the_count_is_neither_counted_nor_chosen(self, kernels):
        labels = kernels.upload(np.array([[[1, 1, 7, -2, 3, 0]]], dtype=np.int32))
        assert kernels.sizes(labels, 2).tolist() == [0, 2, 0]
        wanted = np.ones(3, dtype=np.bool_)
        assert kernels.chosen(labels, wanted).host().tolist() == [[[1, 1, 0, 0, 0, 0]]]

    @some
    @given(shape=shapes, data=st.data())
    def test_the_extent_is_the_smallest_box(self, kernels, shape, data):
        values, box = np.zeros(shape, dtype=np.uint8), a_box(data, shape)
        values[tuple(start for start, _ in box)] = values[tuple(stop - 1 for _, stop in box)] = 4
        assert kernels.extent(kernels.upload(values), label=4) == box
        assert kernels.extent(kernels.upload(values), label=5) is None

    @some
    @given(shape=shapes, data=st.data(), seed=seeds)
    def test_bits_are_packed_as_numpy_does(self, kernels, shape, data, seed):
        values, box = blobs(shape, seed) * np.uint8(2), a_box(data, shape)
        bits = kernels.pack_bits(kernels.upload(values), box, label=2).host()
        assert bits.dtype == np.uint8
        np.testing.assert_array_equal(bits, np.packbits((values[cut(box)] == 2).ravel()))

    def test_a_part_is_a_view_of_one_channel(self, kernels):
        values = noise((3, 4, 5, 6))
        whole = kernels.upload(values)
        part = kernels.part(whole, 2)
        assert part.shape == (4, 5, 6)
        np.testing.assert_array_equal(kernels.threshold(part, 0.0).host(), values[2] > 0)

    def test_what_goes_up_is_not_changed(self, kernels):
        values = noise((5, 4, 3))
        before = values.copy()
        buffer = kernels.upload(values)
        kernels.scale_clip(buffer, low=-1.0, high=1.0)
        kernels.z_score(buffer, mean=1.0, std=2.0, only_nonzero=True)
        kernels.turn(buffer, (2, 1, 0), (True, True, True))
        np.testing.assert_array_equal(buffer.host(), before)
