// The node's own arithmetic on voxels: what happens before and after a network.
//
// One source, three compilers: nvcc and NVRTC make fatbins of it (scripts/kernels.sh), g++ makes ordinary
// functions of it, which the tests run thread after thread, in any order, against numpy and scipy.
//
// - No shared memory, no barriers, no atomics on floats. Threads are independent of each other but for
//   integer atomics whose result does not depend on their order. So a looped run on the host is exact, and
//   every result is the same to the last bit on every GPU and in every run.
// - Products and sums are rounded as they are written: nvcc runs with -fmad=false, g++ with
//   -ffp-contract=off, and what shall be fused says __fmaf_rn. Nothing here is bound by arithmetic. Only the
//   exponential function is each compiler's own, and differs by units in the last place.
// - Volumes are (k, j, i) in C order. A warp is 32 voxels along i: it reads and writes whole lines.
//   Offsets are 64 bits wide: channels · k · j · i passes 2^31.
// - Arguments, blocks and grids stand in launches.py, and only there. "Floor" is the time below which a
//   kernel cannot be: the bytes that it must move, over the bandwidth of the memory.

#ifdef __CUDACC__
#define DN_KERNEL extern "C" __global__ void
#define DN_DEVICE static __device__ __forceinline__
#define DN_INFINITY __int_as_float(0x7f800000)
#define DN_YIELD()
#else
#include <cmath>
struct dn_dim3 { unsigned x, y, z; };
static thread_local dn_dim3 blockIdx, threadIdx, blockDim, gridDim;  // by whoever runs it on the host
#define DN_KERNEL extern "C" void
#define DN_DEVICE static inline
#define DN_INFINITY INFINITY
#ifndef DN_YIELD  // a test may run other threads where it stands
#define DN_YIELD()
#endif
#define __restrict__ __restrict
static inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
static inline int atomicAdd(int *at, int value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
static inline int atomicCAS(int *at, int expected, int value) {
  __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
#endif

typedef long long i64;
typedef unsigned char u8;

DN_DEVICE i64 dn_thread() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
DN_DEVICE i64 dn_threads() { return (i64)gridDim.x * blockDim.x; }
DN_DEVICE int dn_x() { return (int)(blockIdx.x * blockDim.x + threadIdx.x); }
DN_DEVICE int dn_y() { return (int)(blockIdx.y * blockDim.y + threadIdx.y); }
DN_DEVICE int dn_z() { return (int)(blockIdx.z * blockDim.z + threadIdx.z); }

// Index of (k, j, i) in a volume of (…, size_j, size_i).
DN_DEVICE i64 dn_at(i64 k, int j, int i, int size_j, int size_i) { return (k * size_j + j) * size_i + i; }

// Every voxel of a row of `count`, 256 side by side at a time; unrolled, so that several reads are under way.
#define DN_EACH(t, count) \
  _Pragma("unroll 4") for (i64 t = dn_thread(); t < (count); t += dn_threads())

// ---------------------------------------------------------------------------------------------- values

template <typename T>
DN_DEVICE void scale_clip(const T *__restrict__ values, float *__restrict__ out, i64 count, float slope,
                          float intercept, float low, float high) {
  DN_EACH(t, count) {
    float v = (float)values[t] * slope + intercept;
    v = v < low ? low : v;
    out[t] = v > high ? high : v;  // NaN is neither, and stays
  }
}

// values · slope + intercept, limited to low … high; (count) int16, uint16 or float32 → float32, in the
// unit of slope and intercept (Modality LUT, PS3.3 C.11.1). Floor: 6 bytes a voxel (8 from float32).
DN_KERNEL dn_scale_clip_i16(const short *values, float *out, i64 count, float slope, float intercept,
                            float low, float high) {
  scale_clip(values, out, count, slope, intercept, low, high);
}
DN_KERNEL dn_scale_clip_u16(const unsigned short *values, float *out, i64 count, float slope, float intercept,
                            float low, float high) {
  scale_clip(values, out, count, slope, intercept, low, high);
}
DN_KERNEL dn_scale_clip_f32(const float *values, float *out, i64 count, float slope, float intercept,
                            float low, float high) {
  scale_clip(values, out, count, slope, intercept, low, high);
}

// (value − mean) · inverse_std; (count) float32 → float32. only_nonzero: what is 0 stays 0.
// Floor: 8 bytes a voxel.
DN_KERNEL dn_z_score(const float *__restrict__ values, float *__restrict__ out, i64 count, float mean,
                     float inverse_std, int only_nonzero) {
  DN_EACH(t, count) {
    const float v = values[t];
    out[t] = only_nonzero && v == 0.0f ? 0.0f : (v - mean) * inverse_std;
  }
}

// Count, sum, sum of squares, smallest and largest of (count) float32, as `parts` partial results: float64
// (5, parts). Thread t takes values t, t + parts, … one after the other, whatever the GPU. only_nonzero:
// zeros are passed over. NaN is never smallest or largest, but makes the sums NaN. Floor: 4 bytes a voxel.
DN_KERNEL dn_statistics(const float *__restrict__ values, double *__restrict__ partials, i64 count, int parts,
                        int only_nonzero) {
  const i64 t = dn_thread();
  if (t >= parts) return;
  int number = 0;
  double total = 0.0, squares = 0.0;
  float smallest = DN_INFINITY, largest = -DN_INFINITY;
#pragma unroll 8
  for (i64 v = t; v < count; v += parts) {
    const float value = values[v];
    if (only_nonzero && value == 0.0f) continue;
    const double wide = value;
    ++number;
    total += wide;
    squares += wide * wide;
    smallest = value < smallest ? value : smallest;
    largest = value > largest ? value : largest;
  }
  const double row[5] = {(double)number, total, squares, smallest, largest};
#pragma unroll
  for (int n = 0; n < 5; ++n) partials[(i64)n * parts + t] = row[n];
}

// The partial results of dn_statistics, (5, parts) float64, down to (5, rows); thread t takes t, t + rows, …
// Floor: 40 bytes a part, at most 10 MB.
DN_KERNEL dn_statistics_reduce(const double *__restrict__ partials, double *__restrict__ out, int parts,
                               int rows) {
  const i64 t = dn_thread();
  if (t >= rows) return;
  double row[5] = {0.0, 0.0, 0.0, DN_INFINITY, -DN_INFINITY};
#pragma unroll 4
  for (i64 p = t; p < parts; p += rows) {
#pragma unroll
    for (int n = 0; n < 3; ++n) row[n] += partials[(i64)n * parts + p];
    const double smallest = partials[3LL * parts + p], largest = partials[4LL * parts + p];
    row[3] = smallest < row[3] ? smallest : row[3];
    row[4] = largest > row[4] ? largest : row[4];
  }
#pragma unroll
  for (int n = 0; n < 5; ++n) out[(i64)n * rows + t] = row[n];
}

// ---------------------------------------------------------------------------------------------- grids

template <typename T>
DN_DEVICE void turn(const T *__restrict__ values, T *__restrict__ out, i64 first, i64 step_k, i64 step_j,
                    i64 step_i, int size_k, int size_j, int size_i) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  out[dn_at(k, j, i, size_j, size_i)] = values[first + k * step_k + j * step_j + i * step_i];
}

// A copy of voxels seen in another order: axes exchanged, flipped, cropped. out (size_k, size_j, size_i) has
// at (k, j, i) what lies at first + k · step_k + j · step_j + i · step_i, counted in voxels.
// Floor: twice the size of a voxel. Reached where i stays i; where i of the source runs along j or k of the
// result, a block of 32 × 4 × 4 uses 4 neighbours of what it reads and leaves the rest to the cache.
DN_KERNEL dn_turn_u8(const u8 *values, u8 *out, i64 first, i64 step_k, i64 step_j, i64 step_i, int size_k,
                     int size_j, int size_i) {
  turn(values, out, first, step_k, step_j, step_i, size_k, size_j, size_i);
}
DN_KERNEL dn_turn_i16(const short *values, short *out, i64 first, i64 step_k, i64 step_j, i64 step_i,
                      int size_k, int size_j, int size_i) {
  turn(values, out, first, step_k, step_j, step_i, size_k, size_j, size_i);
}
DN_KERNEL dn_turn_u16(const unsigned short *values, unsigned short *out, i64 first, i64 step_k, i64 step_j,
                      i64 step_i, int size_k, int size_j, int size_i) {
  turn(values, out, first, step_k, step_j, step_i, size_k, size_j, size_i);
}
DN_KERNEL dn_turn_f32(const float *values, float *out, i64 first, i64 step_k, i64 step_j, i64 step_i,
                      int size_k, int size_j, int size_i) {
  turn(values, out, first, step_k, step_j, step_i, size_k, size_j, size_i);
}

// A linear map along one axis (0 = k, 1 = j, 2 = i): a sparse matrix by rows, one row a voxel of the result,
// added up in the order in which the weights stand. values: float32, the shape of out but `length` along
// `axis`; out: (size_k, size_j, size_i). row_starts int32 (rows + 1), columns int32, weights float32.
// Floor: 4 bytes a voxel read and written each, where neighbours in the result share what they read.
DN_KERNEL dn_axis_map(const float *__restrict__ values, float *__restrict__ out,
                      const int *__restrict__ row_starts, const int *__restrict__ columns,
                      const float *__restrict__ weights, int axis, int length, int size_k, int size_j,
                      int size_i) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  const int in_j = axis == 1 ? length : size_j, in_i = axis == 2 ? length : size_i;
  const int row = axis == 0 ? k : axis == 1 ? j : i;
  const i64 step = axis == 0 ? (i64)in_j * in_i : axis == 1 ? in_i : 1;
  const float *line = values + dn_at(axis == 0 ? 0 : k, axis == 1 ? 0 : j, axis == 2 ? 0 : i, in_j, in_i);
  float sum = 0.0f;
  for (int n = row_starts[row]; n < row_starts[row + 1]; ++n) sum += weights[n] * line[columns[n] * step];
  out[dn_at(k, j, i, size_j, size_i)] = sum;
}

// Source index along one axis of a voxel of the result: a row of a 3 × 4 matrix.
DN_DEVICE float source_index(float a, float b, float c, float d, int k, int j, int i) {
  return __fmaf_rn(a, (float)k, __fmaf_rn(b, (float)j, __fmaf_rn(c, (float)i, d)));
}

// Half a voxel: an edge voxel reaches to its outer face. A little more, for indices are rounded.
#define DN_FACE 0.501f

DN_DEVICE bool beyond(float at, int size) { return !(at >= -DN_FACE && at <= size - 1 + DN_FACE); }

// The two neighbours of an index along an axis and the part of the upper one; at the edge they are one.
DN_DEVICE float neighbours(float at, int size, int *low, int *high) {
  const float held = at < 0.0f ? 0.0f : at > size - 1 ? (float)(size - 1) : at;
  *low = (int)held;
  *high = *low + 1 < size ? *low + 1 : *low;
  return held - *low;
}

DN_DEVICE float mixed(float a, float b, float part) { return __fmaf_rn(part, b - a, a); }

// Linear interpolation in three dimensions: float32 (source_k, source_j, source_i) → (size_k, size_j,
// size_i), at source index matrix · (k, j, i, 1). Beyond the outer faces: the edge if hold_edge, else
// `outside`. Indices are float32: 3e-5 of a voxel at 512, and a value that much of a step off.
// Floor: 4 bytes a voxel written and, where the grids are about as fine, 4 read.
DN_KERNEL dn_trilinear(const float *__restrict__ values, float *__restrict__ out, int source_k, int source_j,
                       int source_i, int size_k, int size_j, int size_i, float kk, float kj, float ki,
                       float k1, float jk, float jj, float ji, float j1, float ik, float ij, float ii,
                       float i1, int hold_edge, float outside) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  const float at_k = source_index(kk, kj, ki, k1, k, j, i);
  const float at_j = source_index(jk, jj, ji, j1, k, j, i);
  const float at_i = source_index(ik, ij, ii, i1, k, j, i);
  float result = outside;
  if (hold_edge || !(beyond(at_k, source_k) || beyond(at_j, source_j) || beyond(at_i, source_i))) {
    int low_k, low_j, low_i, high_k, high_j, high_i;
    const float part_k = neighbours(at_k, source_k, &low_k, &high_k);
    const float part_j = neighbours(at_j, source_j, &low_j, &high_j);
    const float part_i = neighbours(at_i, source_i, &low_i, &high_i);
    const float *ll = values + dn_at(low_k, low_j, 0, source_j, source_i);
    const float *lh = values + dn_at(low_k, high_j, 0, source_j, source_i);
    const float *hl = values + dn_at(high_k, low_j, 0, source_j, source_i);
    const float *hh = values + dn_at(high_k, high_j, 0, source_j, source_i);
    const float below = mixed(mixed(ll[low_i], ll[high_i], part_i), mixed(lh[low_i], lh[high_i], part_i), part_j);
    const float above = mixed(mixed(hl[low_i], hl[high_i], part_i), mixed(hh[low_i], hh[high_i], part_i), part_j);
    result = mixed(below, above, part_k);
  }
  out[dn_at(k, j, i, size_j, size_i)] = result;
}

// The nearest voxel of uint8 labels, else as dn_trilinear; half way between two, the lower index, so that
// the rounding of indices does not decide. Floor: 2 bytes a voxel.
DN_KERNEL dn_nearest(const u8 *__restrict__ values, u8 *__restrict__ out, int source_k, int source_j,
                     int source_i, int size_k, int size_j, int size_i, float kk, float kj, float ki, float k1,
                     float jk, float jj, float ji, float j1, float ik, float ij, float ii, float i1,
                     int outside) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  const float at[3] = {source_index(kk, kj, ki, k1, k, j, i), source_index(jk, jj, ji, j1, k, j, i),
                       source_index(ik, ij, ii, i1, k, j, i)};
  const int size[3] = {source_k, source_j, source_i};
  int near[3];
  bool out_of_it = false;
#pragma unroll
  for (int a = 0; a < 3; ++a) {
    out_of_it |= beyond(at[a], size[a]);
    const float held = at[a] < 0.0f ? 0.0f : at[a] > size[a] - 1 ? (float)(size[a] - 1) : at[a];
    near[a] = (int)(held + (1.0f - DN_FACE));
  }
  out[dn_at(k, j, i, size_j, size_i)] =
      out_of_it ? (u8)outside : values[dn_at(near[0], near[1], near[2], source_j, source_i)];
}

// --------------------------------------------------------------------------------------------- windows

// Windows out of a volume: float32 (size_k, size_j, size_i) → (windows, 1, window_k, window_j, window_i), at
// starts int32 (windows, 3) = k, j, i. `outside` where the volume ends: starts may be negative.
// Floor: 8 bytes a voxel of a window.
DN_KERNEL dn_gather(const float *__restrict__ values, float *__restrict__ out, const int *__restrict__ starts,
                    int windows, int size_k, int size_j, int size_i, int window_k, int window_j, int window_i,
                    float outside) {
  const int i = dn_x(), j = dn_y(), plane = dn_z();  // planes of all windows, one window after the other
  if (i >= window_i || j >= window_j || plane >= windows * window_k) return;
  const int *start = starts + 3 * (plane / window_k);
  const int at_k = start[0] + plane % window_k, at_j = start[1] + j, at_i = start[2] + i;
  const bool inside = at_k >= 0 && at_k < size_k && at_j >= 0 && at_j < size_j && at_i >= 0 && at_i < size_i;
  out[dn_at(plane, j, i, window_j, window_i)] =
      inside ? values[dn_at(at_k, at_j, at_i, size_j, size_i)] : outside;
}

// Add windows to the sums of a volume: sums float32 (channels, size_k, size_j, size_i) += patches float32
// (windows, channels, window_k, window_j, window_i) · weights, at starts int32 (windows, 3), all inside.
// weights_k, _j, _i: float32 (windows, length of the window); a voxel's weight is their product.
// One thread a voxel of the box low … low + box that holds all windows: it alone writes there, and adds
// window after window in their order, so that no atomics are needed and sums are the same in every run.
// Floor: 4 bytes a voxel of a patch, 8 a voxel that is covered, times channels.
DN_KERNEL dn_blend(const float *__restrict__ patches, float *__restrict__ sums, const int *__restrict__ starts,
                   const float *__restrict__ weights_k, const float *__restrict__ weights_j,
                   const float *__restrict__ weights_i, int windows, int channels, int window_k, int window_j,
                   int window_i, int size_k, int size_j, int size_i, int low_k, int low_j, int low_i,
                   int box_k, int box_j, int box_i) {
  const int x = dn_x(), y = dn_y(), z = dn_z();
  if (x >= box_i || y >= box_j || z >= box_k) return;
  const int k = low_k + z, j = low_j + y, i = low_i + x;
  const i64 volume = (i64)size_k * size_j * size_i, patch = (i64)window_k * window_j * window_i;
  float *sum = sums + dn_at(k, j, i, size_j, size_i);
  for (int n = 0; n < windows; ++n) {
    const int at_k = k - starts[3 * n], at_j = j - starts[3 * n + 1], at_i = i - starts[3 * n + 2];
    const bool inside = at_k >= 0 && at_k < window_k && at_j >= 0 && at_j < window_j && at_i >= 0 && at_i < window_i;
    if (!inside) continue;
    const float weight = weights_k[(i64)n * window_k + at_k] * weights_j[(i64)n * window_j + at_j] *
                         weights_i[(i64)n * window_i + at_i];
    const float *value = patches + n * channels * patch + dn_at(at_k, at_j, at_i, window_j, window_i);
#pragma unroll 4
    for (int c = 0; c < channels; ++c) sum[c * volume] += value[c * patch] * weight;
  }
}

// The same with weights of which none is a product: weights float32 (window_k, window_j, window_i), those of
// every window. Floor: 4 bytes a voxel of a patch, 8 a voxel that is covered, times channels.
DN_KERNEL dn_blend_within(const float *__restrict__ patches, float *__restrict__ sums,
                          const int *__restrict__ starts, const float *__restrict__ weights, int windows,
                          int channels, int window_k, int window_j, int window_i, int size_k, int size_j,
                          int size_i, int low_k, int low_j, int low_i, int box_k, int box_j, int box_i) {
  const int x = dn_x(), y = dn_y(), z = dn_z();
  if (x >= box_i || y >= box_j || z >= box_k) return;
  const int k = low_k + z, j = low_j + y, i = low_i + x;
  const i64 volume = (i64)size_k * size_j * size_i, patch = (i64)window_k * window_j * window_i;
  float *sum = sums + dn_at(k, j, i, size_j, size_i);
  for (int n = 0; n < windows; ++n) {
    const int at_k = k - starts[3 * n], at_j = j - starts[3 * n + 1], at_i = i - starts[3 * n + 2];
    const bool inside = at_k >= 0 && at_k < window_k && at_j >= 0 && at_j < window_j && at_i >= 0 && at_i < window_i;
    if (!inside) continue;
    const i64 at = dn_at(at_k, at_j, at_i, window_j, window_i);
    const float weight = weights[at];
    const float *value = patches + n * channels * patch + at;
#pragma unroll 4
    for (int c = 0; c < channels; ++c) sum[c * volume] += value[c * patch] * weight;
  }
}

// Divide the sums of dn_blend_within by all the weights that a voxel was given: sums float32 (channels,
// size_k, size_j, size_i), in place. Windows begin at every combination of starts_k, _j and _i (int32, rising),
// and every voxel lies in one of them; their weights are added up in that order, k slowest.
// Floor: 8 bytes a voxel and channel; the weights lie in the cache.
DN_KERNEL dn_normalise(float *__restrict__ sums, const float *__restrict__ weights,
                       const int *__restrict__ starts_k, const int *__restrict__ starts_j,
                       const int *__restrict__ starts_i, int count_k, int count_j, int count_i, int channels,
                       int window_k, int window_j, int window_i, int size_k, int size_j, int size_i) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  float total = 0.0f;
  for (int a = 0; a < count_k; ++a) {
    const int at_k = k - starts_k[a];
    if (at_k < 0 || at_k >= window_k) continue;
    for (int b = 0; b < count_j; ++b) {
      const int at_j = j - starts_j[b];
      if (at_j < 0 || at_j >= window_j) continue;
      for (int c = 0; c < count_i; ++c) {
        const int at_i = i - starts_i[c];
        if (at_i >= 0 && at_i < window_i) total += weights[dn_at(at_k, at_j, at_i, window_j, window_i)];
      }
    }
  }
  const i64 volume = (i64)size_k * size_j * size_i;
  float *sum = sums + dn_at(k, j, i, size_j, size_i);
#pragma unroll 4
  for (int c = 0; c < channels; ++c) sum[c * volume] /= total;
}

// --------------------------------------------------------------------------------------- probabilities

// Softmax over the channels: float32 (channels, count) → the same. Floor: 16 bytes a voxel and channel, for
// it reads three times and writes once; the last levels of the cache may save some of it.
DN_KERNEL dn_softmax(const float *__restrict__ values, float *__restrict__ out, int channels, i64 count) {
  for (i64 t = dn_thread(); t < count; t += dn_threads()) {
    float most = values[t], sum = 0.0f;
    for (int c = 1; c < channels; ++c) most = fmaxf(most, values[c * count + t]);
    for (int c = 0; c < channels; ++c) sum += expf(values[c * count + t] - most);
    for (int c = 0; c < channels; ++c) out[c * count + t] = expf(values[c * count + t] - most) / sum;
  }
}

// 1 / (1 + exp(−value)): float32 (count) → the same. Floor: 8 bytes.
DN_KERNEL dn_sigmoid(const float *__restrict__ values, float *__restrict__ out, i64 count) {
  DN_EACH(t, count) out[t] = 1.0f / (1.0f + expf(-values[t]));
}

// ---------------------------------------------------------------------------------------------- labels

// The channel with the largest value, the first of equal ones: float32 (channels, count) → uint8 (count).
// At most 256 channels, values finite. Floor: 4 bytes a voxel and channel, and 1.
DN_KERNEL dn_argmax(const float *__restrict__ values, u8 *__restrict__ labels, int channels, i64 count) {
  DN_EACH(t, count) {
    float best = values[t];
    int label = 0;
#pragma unroll 4
    for (int c = 1; c < channels; ++c) {
      const float v = values[c * count + t];
      if (v > best) best = v, label = c;
    }
    labels[t] = (u8)label;
  }
}

// 1 where a value is greater than `above`, else 0; NaN is not: float32 (count) → uint8. Floor: 5 bytes.
DN_KERNEL dn_threshold(const float *__restrict__ values, u8 *__restrict__ mask, i64 count, float above) {
  DN_EACH(t, count) mask[t] = values[t] > above;
}

// One more than the last channel whose value is greater than `above`, 0 where none is: float32 (channels,
// count) → uint8 (count). At most 255 channels; NaN is not greater. Floor: 4 bytes a voxel and channel, and 1.
DN_KERNEL dn_last_above(const float *__restrict__ values, u8 *__restrict__ labels, int channels, i64 count,
                        float above) {
  DN_EACH(t, count) {
    int label = channels;
    while (label && !(values[(label - 1) * count + t] > above)) --label;
    labels[t] = (u8)label;
  }
}

// 1 where the label is wanted: int32 (count) and uint8 (most + 1) → uint8 (count). A label that is not from 1 to
// `most` is wanted by nobody. Floor: 5 bytes a voxel; the table lies in the cache.
DN_KERNEL dn_chosen(const int *__restrict__ labels, const u8 *__restrict__ wanted, u8 *__restrict__ mask, int most,
                    i64 count) {
  DN_EACH(t, count) mask[t] = labels[t] > 0 && labels[t] <= most && wanted[labels[t]];
}

// Which k, j and i have a voxel of `label`: uint8 (size_k, size_j, size_i) → uint8 flags, size_k + size_j +
// size_i of them, zeros before. Threads write nothing but ones, so their order does not matter; a flag that
// is seen to be set is not written again. Floor: 1 byte a voxel.
DN_KERNEL dn_extent(const u8 *__restrict__ values, u8 *flags, int label, int size_k, int size_j, int size_i) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  if (values[dn_at(k, j, i, size_j, size_i)] != label) return;
  const int at[3] = {k, size_k + j, size_k + size_j + i};
#pragma unroll
  for (int a = 0; a < 3; ++a)
    if (!flags[at[a]]) flags[at[a]] = 1;
}

// Bits of a mask within a box, in C order, the first voxel in the highest bit: uint8 (…, size_j, size_i),
// set where it is `label`, → uint8 (count), count = ⌈box_k · box_j · box_i / 8⌉. One thread a byte.
// Floor: 1 byte and 1 bit a voxel of the box.
DN_KERNEL dn_pack_bits(const u8 *__restrict__ values, u8 *__restrict__ bits, int label, int size_j, int size_i,
                       int low_k, int low_j, int low_i, int box_k, int box_j, int box_i, i64 count) {
  DN_EACH(t, count) {
    i64 rest = 8 * t;
    int i = (int)(rest % box_i), j = (int)((rest /= box_i) % box_j), k = (int)(rest / box_j);
    unsigned byte = 0;
    for (int bit = 0; bit < 8; ++bit) {
      const bool set = k < box_k && values[dn_at(low_k + k, low_j + j, low_i + i, size_j, size_i)] == label;
      byte = byte << 1 | (unsigned)set;
      if (++i == box_i) {
        i = 0;
        if (++j == box_j) j = 0, ++k;
      }
    }
    bits[t] = (u8)byte;
  }
}

// ------------------------------------------------------------------------------------------ components
//
// What hangs together by faces, or by edges and corners too. Each voxel of the mask has a parent with a smaller index, or is its own: a
// root. Two trees are joined by hooking the root with the larger index onto the other one with one compare
// and swap; a voxel that has a parent other than itself is never a root again, so paths may be shortened
// with plain writes at any time. In the end the root of each component is its first voxel, whatever the
// order in which threads ran. After Jaiganesh and Burtscher, "A high-performance connected components
// implementation for GPUs", HPDC 2018. Indices are int32: less than 2^31 voxels.

// The root of t, as far as this thread can see; what it passes is hooked onto its grandparent.
DN_DEVICE int root_of(int *parents, int t) {
  int at = t, parent = parents[t];
  while (parent != at) {
    const int above = parents[parent];
    DN_YIELD();
    if (above != parent) parents[at] = above;
    at = parent;
    parent = above;
  }
  return at;
}

DN_DEVICE void join(int *parents, int a, int b) {
  a = root_of(parents, a), b = root_of(parents, b);
  while (a != b) {
    const int low = a < b ? a : b, high = a < b ? b : a;
    DN_YIELD();
    const int seen = atomicCAS(&parents[high], high, low);
    if (seen == high) return;
    a = low, b = root_of(parents, seen);  // another thread hooked it elsewhere: go on from there
  }
}

// Step 1: uint8 (size_k, size_j, size_i), set where it is `label` → parents int32: the first neighbour below
// that is set, else the voxel itself; −1 where it is not set. Floor: 5 bytes a voxel.
DN_KERNEL dn_components_init(const u8 *__restrict__ values, int *__restrict__ parents, int label, int size_k,
                             int size_j, int size_i) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  const i64 row = size_i, plane = (i64)size_j * size_i, t = dn_at(k, j, i, size_j, size_i);
  i64 parent = -1;
  if (values[t] == label) {
    if (k && values[t - plane] == label) parent = t - plane;
    else if (j && values[t - row] == label) parent = t - row;
    else if (i && values[t - 1] == label) parent = t - 1;
    else parent = t;
  }
  parents[t] = (int)parent;
}

// Step 2: join each voxel with its lower neighbours along j and i; along k step 1 has. parents int32
// (size_k, size_j, size_i), in place. Floor: 8 bytes a voxel; how much more depends on the paths.
DN_KERNEL dn_components_merge(int *parents, int size_k, int size_j, int size_i) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  const int t = (int)dn_at(k, j, i, size_j, size_i);
  if (parents[t] < 0) return;
  if (j && parents[t - size_i] >= 0) join(parents, t, t - size_i);
  if (i && parents[t - 1] >= 0) join(parents, t, t - 1);
}

// Step 2 for what hangs together by edges and corners too: join each voxel with all of its 13 lower
// neighbours. Floor: 8 bytes a voxel; how much more depends on the paths.
DN_KERNEL dn_components_merge_corners(int *parents, int size_k, int size_j, int size_i) {
  const int i = dn_x(), j = dn_y(), k = dn_z();
  if (i >= size_i || j >= size_j || k >= size_k) return;
  const int t = (int)dn_at(k, j, i, size_j, size_i);
  if (parents[t] < 0) return;
  for (int n = 0; n < 13; ++n) {  // of the 27 around it, those before it in the order of the array
    const int at_k = k + n / 9 - 1, at_j = j + n / 3 % 3 - 1, at_i = i + n % 3 - 1;
    if (at_k < 0 || at_j < 0 || at_j >= size_j || at_i < 0 || at_i >= size_i) continue;
    const int near = (int)dn_at(at_k, at_j, at_i, size_j, size_i);
    if (parents[near] >= 0) join(parents, t, near);
  }
}

// Step 3: every voxel onto its root, and how many roots each segment of `segment` voxels holds: firsts int32
// (segments), zeros before. A thread writes its own voxel only: to shorten the path of another, as step 2
// does, might take from it the root that it has just found. Roots are few, so few threads add.
// Floor: 8 bytes a voxel.
DN_KERNEL dn_components_flatten(int *parents, int *firsts, i64 count, int segment) {
  for (i64 t = dn_thread(); t < count; t += dn_threads()) {
    if (parents[t] < 0) continue;
    int root = parents[t];
    while (parents[root] != root) root = parents[root];
    DN_YIELD();
    parents[t] = root;
    if (root == t) atomicAdd(&firsts[t / segment], 1);
  }
}

// Step 4: number the roots in the order of the array. before int32 (segments + 1): how many roots there are
// ahead of each segment, and in all. labels int32 (count): written at roots only. One thread a segment; one
// without a root reads nothing. Floor: none worth its name, but where every segment holds a root.
DN_KERNEL dn_components_rank(const int *__restrict__ parents, const int *__restrict__ before,
                             int *__restrict__ labels, i64 count, int segment, int segments) {
  const i64 s = dn_thread();
  if (s >= segments) return;
  int number = before[s];
  const int last = before[s + 1];
  for (i64 t = s * segment; number < last && t < count; ++t)
    if (parents[t] == t) labels[t] = ++number;
}

// Step 5: every voxel takes the number of its root, 0 where there is none: parents int32 → labels int32
// (count). A root keeps what step 4 gave it. Floor: 8 bytes a voxel.
DN_KERNEL dn_components_relabel(const int *__restrict__ parents, int *labels, i64 count) {
  DN_EACH(t, count) {
    const int root = parents[t];
    if (root != t) labels[t] = root < 0 ? 0 : labels[root];
  }
}

// Voxels of each component: labels int32 (count) → sizes int32 (most + 1), zeros before; that of 0 is left 0,
// and a label that is not from 1 to `most` counts nowhere. A thread takes `run` voxels one after the other and adds once for each stretch of equal labels: `runs`
// threads, ⌈count / run⌉. Floor: 4 bytes a voxel.
DN_KERNEL dn_sizes(const int *__restrict__ labels, int *sizes, int most, i64 count, int run, i64 runs) {
  for (i64 r = dn_thread(); r < runs; r += dn_threads()) {
    const i64 end = (r + 1) * run < count ? (r + 1) * run : count;
    int label = 0, length = 0;
    for (i64 t = r * run; t < end; ++t) {
      if (labels[t] != label) {
        if (label > 0 && label <= most) atomicAdd(&sizes[label], length);
        label = labels[t], length = 0;
      }
      ++length;
    }
    if (label > 0 && label <= most) atomicAdd(&sizes[label], length);
  }
}
