/* What lies between the matrix products of a network's training step, in as few passes over memory
 * as can be: batch norm with its activation, depthwise convolution, squeeze-and-excitation, and
 * their gradients.
 *
 * Maps are float32 [segment, time, channel]. A convolution's output is kept as it came, called y;
 * what follows it, a = act(z) with z = scale * y + shift, is computed again wherever it is read,
 * because memory is what takes the time. `norm` is float32 [4][channel]: scale, shift, mean and
 * 1 / standard deviation of y, which a forward function writes and its backward one reads.
 *
 * `valid` is int64 [segment], how many positions of each map are a recording's, or NULL where all
 * are. What lies beyond is read nowhere, counts in no sum, and is written as 0.
 *
 * Sums over segments are taken in parts and put together in a fixed order, so results do not depend
 * on the number of threads. It is plain C for compilers to vectorise: of few channels, several rows
 * are taken at a time, as a run of a multiple of 16 numbers beside parameters repeated to the same
 * length.
 */

#ifndef MAPS_H
#define MAPS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t count;

#define INLINE static inline __attribute__((always_inline))
#define SIMD _Pragma("omp simd")
#define IN_PARALLEL _Pragma("omp parallel num_threads(threads)")
#define SHARED_OUT _Pragma("omp for schedule(static)")
#define BY_ONE _Pragma("omp single")

/* Runs of a map of n numbers: i is where one begins, m how long it is. */
#define RUNS(n, run) \
  for (count i = 0, m; m = (n) - i < (run) ? (n) - i : (run), i < (n); i += (run))

static inline count run_length(count channels) {
  count run = channels;
  while (run % 16) run += channels;
  while (run < 64) run *= 2;
  return run;
}

static inline float *numbers(count n) { return malloc(n * sizeof(float)); }
static inline void clear(float *values, count n) { memset(values, 0, n * sizeof(float)); }

static inline void repeat(const float *values, count channels, count run, float *to) {
  for (count i = 0; i < run; i += channels) memcpy(to + i, values, channels * sizeof(float));
}

/* Several rows of [channel] as [row][run]; the caller frees them. */
static inline float *repeated(const float *const *rows, int number, count channels, count run) {
  float *to = numbers(number * run);
  for (int row = 0; row < number; row++) repeat(rows[row], channels, run, to + row * run);
  return to;
}

/* Add up a run's rows: the reverse of `repeat`. */
static inline void fold(const float *parts, count channels, count run, float *to) {
  memcpy(to, parts, channels * sizeof(float));
  for (count i = channels; i < run; i += channels)
    SIMD for (count c = 0; c < channels; c++) to[c] += parts[i + c];
}

/* A batch is summed in so many parts, each of consecutive segments and by one thread. */
static inline count parts_of(count segments) { return segments < 16 ? segments : 16; }
static inline count first_of(count part, count parts, count segments) {
  return segments * part / parts;
}

static inline double *totals(const float *parts, count number, count channels) {
  double *sum = calloc(channels, sizeof(double));
  for (count part = 0; part < number; part++)
    SIMD for (count c = 0; c < channels; c++) sum[c] += parts[part * channels + c];
  return sum;
}

static inline count positions_of(const count *valid, count segments, count length) {
  if (!valid) return segments * length;
  count positions = 0;
  for (count b = 0; b < segments; b++) positions += valid[b];
  return positions;
}

/* How many numbers of segment b's map are a recording's. */
INLINE count numbers_of(const count *valid, count b, count length, count channels) {
  return (valid ? valid[b] : length) * channels;
}

#endif
