/* Batch norm and the activation after it, forward and backward. */

#include "norm.h"

/* norm := batch norm's over y. */
void norm_statistics(int threads, const float *y, const count *valid, count segments, count length,
                     count channels, const float *gamma, const float *beta, float eps,
                     float momentum, float *running_mean, float *running_var, int64_t *batches,
                     float *norm) {
  count run = run_length(channels), parts = parts_of(segments), n = length * channels;
  const float *pivot = y + (valid ? valid[0] : length) / 2 * channels;
  float *pivots = repeated(&pivot, 1, channels, run), *sums = numbers(parts * 2 * channels);
  IN_PARALLEL {
    float *own = numbers(2 * run);
    SHARED_OUT for (count part = 0; part < parts; part++) {
      clear(own, 2 * run);
      for (count b = first_of(part, parts, segments); b < first_of(part + 1, parts, segments); b++)
        add_deviations(y + b * n, numbers_of(valid, b, length, channels), run, pivots, own);
      fold(own, channels, run, sums + 2 * part * channels);
      fold(own + run, channels, run, sums + (2 * part + 1) * channels);
    }
    free(own);
  }
  finish_norm(sums, parts, positions_of(valid, segments, length), channels, pivot, gamma, beta, eps,
              momentum, running_mean, running_var, batches, norm);
  free(sums);
  free(pivots);
}

INLINE void activate_and_add(int kind, const float *restrict y, count n, count run,
                             const float *restrict scale, const float *restrict shift,
                             const float *restrict residual, float *restrict out) {
  RUNS(n, run) {
    const float *restrict row = y + i, *restrict rest = residual + i;
    float *restrict to = out + i;
    SIMD for (count c = 0; c < m; c++)
      to[c] = activated(kind, scale[c] * row[c] + shift[c]) + rest[c];
  }
}

/* norm := batch norm's over y, and out = act(z), plus `residual` where that is not NULL. */
void norm_forward(int threads, int kind, const float *y, const count *valid, count segments,
                  count length, count channels, const float *gamma, const float *beta, float eps,
                  float momentum, float *running_mean, float *running_var, int64_t *batches,
                  float *norm, const float *residual, float *out) {
  norm_statistics(threads, y, valid, segments, length, channels, gamma, beta, eps, momentum,
                  running_mean, running_var, batches, norm);
  count run = run_length(channels), n = length * channels;
  float *scale = repeated((const float *[]){norm, norm + channels}, 2, channels, run);
  float *shift = scale + run;
  IN_PARALLEL SHARED_OUT for (count b = 0; b < segments; b++) {
    count used = numbers_of(valid, b, length, channels), at = b * n;
    if (residual)
      BY_ACTIVATION(kind, activate_and_add(ACT, y + at, used, run, scale, shift, residual + at,
                                           out + at))
    else
      BY_ACTIVATION(kind, activate(ACT, y + at, used, run, scale, shift, out + at))
    clear(out + at + used, n - used);
  }
  free(scale);
}

/* Add dz and dz * (y - mean), where dz = g * act'(z). */
INLINE void add_gradients(int kind, const float *restrict g, const float *restrict y, count n,
                          count run, const float *restrict scale, const float *restrict shift,
                          const float *restrict mean, float *restrict sums) {
  float *restrict products = sums + run;
  RUNS(n, run) {
    const float *restrict gradient = g + i, *restrict row = y + i;
    SIMD for (count c = 0; c < m; c++) {
      float value, dz = gradient[c] * slope(kind, scale[c] * row[c] + shift[c], &value);
      sums[c] += dz;
      products[c] += dz * (row[c] - mean[c]);
    }
  }
}

INLINE void norm_gradient(int kind, const float *restrict g, const float *restrict y, count n,
                          count run, const float *restrict scale, const float *restrict shift,
                          const float *restrict p, const float *restrict q,
                          const float *restrict r, float *restrict dy) {
  RUNS(n, run) {
    const float *restrict gradient = g + i, *restrict row = y + i;
    float *restrict to = dy + i;
    SIMD for (count c = 0; c < m; c++) {
      float value, dz = gradient[c] * slope(kind, scale[c] * row[c] + shift[c], &value);
      to[c] = p[c] * dz + q[c] * row[c] + r[c];
    }
  }
}

/* From the gradient g of act(z) to those of y, gamma and beta. */
void norm_backward(int threads, int kind, const float *g, const float *y, const count *valid,
                   count segments, count length, count channels, const float *norm, float *dgamma,
                   float *dbeta, float *dy) {
  count run = run_length(channels), parts = parts_of(segments), n = length * channels;
  float *tiles = repeated((const float *[]){norm, norm + channels, norm + 2 * channels}, 3,
                          channels, run);
  float *scale = tiles, *shift = tiles + run, *mean = tiles + 2 * run;
  float *sums = numbers(parts * 2 * channels), *pqr = numbers(3 * channels);
  float *p = numbers(3 * run), *q = p + run, *r = p + 2 * run;
  IN_PARALLEL {
    float *own = numbers(2 * run);
    SHARED_OUT for (count part = 0; part < parts; part++) {
      clear(own, 2 * run);
      for (count b = first_of(part, parts, segments); b < first_of(part + 1, parts, segments); b++)
        BY_ACTIVATION(kind, add_gradients(ACT, g + b * n, y + b * n,
                                          numbers_of(valid, b, length, channels), run, scale,
                                          shift, mean, own))
      fold(own, channels, run, sums + 2 * part * channels);
      fold(own + run, channels, run, sums + (2 * part + 1) * channels);
    }
    free(own);
    BY_ONE {
      double *total = totals(sums, parts, 2 * channels);
      norm_coefficients(total, total + channels, positions_of(valid, segments, length), channels,
                        norm, dgamma, dbeta, pqr);
      for (int row = 0; row < 3; row++) repeat(pqr + row * channels, channels, run, p + row * run);
      free(total);
    }
    SHARED_OUT for (count b = 0; b < segments; b++) {
      count used = numbers_of(valid, b, length, channels), at = b * n;
      BY_ACTIVATION(kind, norm_gradient(ACT, g + at, y + at, used, run, scale, shift, p, q, r,
                                        dy + at))
      clear(dy + at + used, n - used);
    }
  }
  free(p);
  free(pqr);
  free(sums);
  free(tiles);
}
