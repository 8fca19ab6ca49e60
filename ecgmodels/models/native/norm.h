/* Batch norm's parts that several kernels share. */

#ifndef NORM_H
#define NORM_H

#include "activations.h"
#include "maps.h"

/* Add deviations from `pivot`, and their squares. */
INLINE void add_deviations(const float *restrict y, count n, count run,
                           const float *restrict pivot, float *restrict sums) {
  float *restrict squares = sums + run;
  RUNS(n, run) {
    const float *restrict row = y + i;
    SIMD for (count c = 0; c < m; c++) {
      float deviation = row[c] - pivot[c];
      sums[c] += deviation;
      squares[c] += deviation * deviation;
    }
  }
}

/* From sums of deviations [part][2][channel] to `norm`, and to running statistics as torch keeps
 * them, of the unbiased variance. A pivot near the mean keeps the squares from cancelling. */
static inline void finish_norm(const float *sums, count parts, count positions, count channels,
                               const float *pivot, const float *gamma, const float *beta,
                               float eps, float momentum, float *running_mean,
                               float *running_var, int64_t *batches, float *norm) {
  double *total = totals(sums, parts, 2 * channels), n = positions;
  double unbiased = positions > 1 ? n / (n - 1) : n;
  for (count c = 0; c < channels; c++) {
    double off = total[c] / n, var = total[channels + c] / n - off * off;
    var = var < 0 ? 0 : var;
    double mean = pivot[c] + off, inverse = 1 / sqrt(var + eps);
    norm[c] = gamma[c] * inverse;
    norm[channels + c] = beta[c] - mean * gamma[c] * inverse;
    norm[2 * channels + c] = mean;
    norm[3 * channels + c] = inverse;
    running_mean[c] += momentum * (mean - running_mean[c]);
    running_var[c] += momentum * (unbiased * var - running_var[c]);
  }
  *batches += 1;
  free(total);
}

INLINE void activate(int kind, const float *restrict y, count n, count run,
                     const float *restrict scale, const float *restrict shift,
                     float *restrict out) {
  RUNS(n, run) {
    const float *restrict row = y + i;
    float *restrict to = out + i;
    SIMD for (count c = 0; c < m; c++) to[c] = activated(kind, scale[c] * row[c] + shift[c]);
  }
}

/* As mean and variance depend on y too, its gradient is p * dz + q * y + r: these, [3][channel]. */
static inline void norm_coefficients(const double *dz_sum, const double *product_sum,
                                     count positions, count channels, const float *norm,
                                     float *dgamma, float *dbeta, float *pqr) {
  for (count c = 0; c < channels; c++) {
    double scale = norm[c], mean = norm[2 * channels + c], inverse = norm[3 * channels + c];
    double steepness = product_sum[c] * inverse;
    double q = -scale * inverse * steepness / positions;
    dgamma[c] = steepness;
    dbeta[c] = dz_sum[c];
    pqr[c] = scale;
    pqr[channels + c] = q;
    pqr[2 * channels + c] = -scale * dz_sum[c] / positions - q * mean;
  }
}

#endif
