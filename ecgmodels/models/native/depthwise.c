/* Depthwise convolution between two norms with activations, forward and backward. */

#include "norm.h"

/* Sixteen numbers that stay in registers; compilers split them where a processor's are shorter. */
typedef float lanes __attribute__((vector_size(64)));
typedef float lanes_anywhere __attribute__((vector_size(64), aligned(4), may_alias));
INLINE lanes load(const float *from) { return *(const lanes_anywhere *)from; }
INLINE void store(float *to, lanes value) { *(lanes_anywhere *)to = value; }

/* Compile CALL for the usual kernels, as the constant TAPS; OTHERWISE serves the others. */
#define BY_KERNEL(kernel, CALL, OTHERWISE)      \
  switch (kernel) {                             \
    case 3: { enum { TAPS = 3 }; CALL; break; } \
    case 5: { enum { TAPS = 5 }; CALL; break; } \
    case 7: { enum { TAPS = 7 }; CALL; break; } \
    case 9: { enum { TAPS = 9 }; CALL; break; } \
    default: OTHERWISE;                         \
  }

/* So many rows stay in a processor's first cache, beside others. */
static count rows_together(count width) { return width < 4096 ? 4096 / width : 1; }

/* Weights [channel][kernel] as [kernel][run]; the caller frees them. */
static float *repeated_weights(const float *w, count channels, int kernel, count run) {
  float *to = numbers(kernel * run);
  for (int k = 0; k < kernel; k++)
    for (count i = 0; i < run; i++) to[k * run + i] = w[i % channels * kernel + k];
  return to;
}

/* Sixteen columns of several rows' weighted sums; rows begin `step` apart in a, `width` in out. */
INLINE void weigh_lanes(int taps, const float *a, count rows, count step, count channels,
                        const float *w, count run, float *out, count width) {
  lanes weight[9];
#pragma GCC unroll 9
  for (int k = 0; k < taps; k++) weight[k] = load(w + k * run);
  for (count row = 0; row < rows; row++) {
    lanes sum = weight[0] * load(a + row * step);
#pragma GCC unroll 9
    for (int k = 1; k < taps; k++) sum += weight[k] * load(a + row * step + k * channels);
    store(out + row * width, sum);
  }
}

/* The same of m numbers of one row, with any kernel. */
static void weigh(int taps, const float *restrict a, count m, count channels, count run,
                  const float *restrict w, float *restrict to) {
  clear(to, m);
  for (int k = 0; k < taps; k++) {
    const float *restrict row = a + k * channels, *restrict weight = w + k * run;
    SIMD for (count c = 0; c < m; c++) to[c] += weight[c] * row[c];
  }
}

/* `length` outputs from the padded input a: by runs, or where there is a stride, by rows. */
static void convolve(const float *a, count length, count channels, count run, const float *w,
                     int kernel, count stride, float *out) {
  count width = stride == 1 ? run : channels, step = stride == 1 ? run : stride * channels;
  count n = length * channels, rows = n / width, whole = width / 16 * 16;
  count block = rows_together(width);
  for (count row = 0; row < rows; row += block) {
    count some = rows - row < block ? rows - row : block;
    const float *from = a + row * step;
    float *to = out + row * width;
    for (count c = 0; c < whole; c += 16)
      BY_KERNEL(kernel,
                weigh_lanes(TAPS, from + c, some, step, channels, w + c, run, to + c, width),
                for (count i = 0; i < some; i++)
                  weigh(kernel, from + i * step + c, 16, channels, run, w + c, to + i * width + c))
    for (count i = 0; i < some && whole < width; i++)
      weigh(kernel, from + i * step + whole, width - whole, channels, run, w + whole,
            to + i * width + whole);
  }
  if (rows * width < n)
    weigh(kernel, a + rows * width, n - rows * width, channels, run, w, out + rows * width);
}

INLINE void add_activated(int kind, const float *restrict y, count n, count run,
                          const float *restrict scale, const float *restrict shift,
                          float *restrict sums) {
  RUNS(n, run) {
    const float *restrict row = y + i;
    SIMD for (count c = 0; c < m; c++) sums[c] += activated(kind, scale[c] * row[c] + shift[c]);
  }
}

/* y2 = the convolution of a1 = act1(z1), zeros around it by half the kernel; then norm2 of y2, and
 * the mean over time of a2 = act2(z2), `pooled` [segment][channel]. */
void depthwise_forward(int threads, int kind1, const float *y1, const count *valid1, count segments,
                       count length1, count channels, const float *norm1, const float *w,
                       int kernel, count stride, int kind2, const float *gamma, const float *beta,
                       float eps, float momentum, float *running_mean, float *running_var,
                       int64_t *batches, const count *valid2, count length2, float *y2,
                       float *norm2, float *pooled) {
  count run = run_length(channels), parts = parts_of(segments), pad = kernel / 2;
  count n1 = length1 * channels, n2 = length2 * channels;
  float *scale1 = repeated((const float *[]){norm1, norm1 + channels}, 2, channels, run);
  float *shift1 = scale1 + run, *weights = repeated_weights(w, channels, kernel, run);
  float *pivot = numbers(channels), *sums = numbers(parts * 2 * channels);
  float *pivots = numbers(3 * run), *scale2 = pivots + run, *shift2 = pivots + 2 * run;
  IN_PARALLEL {
    float *padded = calloc((length1 + 2 * pad + stride) * channels, sizeof(float));
    float *a1 = padded + pad * channels, *own = numbers(2 * run);
    BY_ONE {
      BY_ACTIVATION(kind1, activate(ACT, y1, numbers_of(valid1, 0, length1, channels), run, scale1,
                                    shift1, a1))
      count middle = (valid2 ? valid2[0] : length2) / 2;
      weigh(kernel, padded + middle * stride * channels, channels, channels, run, weights, pivot);
      repeat(pivot, channels, run, pivots);
    }
    SHARED_OUT for (count part = 0; part < parts; part++) {
      clear(own, 2 * run);
      for (count b = first_of(part, parts, segments); b < first_of(part + 1, parts, segments);
           b++) {
        count used1 = numbers_of(valid1, b, length1, channels);
        count used2 = numbers_of(valid2, b, length2, channels);
        BY_ACTIVATION(kind1, activate(ACT, y1 + b * n1, used1, run, scale1, shift1, a1))
        clear(a1 + used1, n1 - used1);
        convolve(padded, used2 / channels, channels, run, weights, kernel, stride, y2 + b * n2);
        clear(y2 + b * n2 + used2, n2 - used2);
        add_deviations(y2 + b * n2, used2, run, pivots, own);
      }
      fold(own, channels, run, sums + 2 * part * channels);
      fold(own + run, channels, run, sums + (2 * part + 1) * channels);
    }
    free(padded);
    BY_ONE {
      finish_norm(sums, parts, positions_of(valid2, segments, length2), channels, pivot, gamma,
                  beta, eps, momentum, running_mean, running_var, batches, norm2);
      repeat(norm2, channels, run, scale2);
      repeat(norm2 + channels, channels, run, shift2);
    }
    SHARED_OUT for (count b = 0; b < segments; b++) {
      count used = numbers_of(valid2, b, length2, channels);
      float *mean = pooled + b * channels, share = (float)channels / used;
      clear(own, run);
      BY_ACTIVATION(kind2, add_activated(ACT, y2 + b * n2, used, run, scale2, shift2, own))
      fold(own, channels, run, mean);
      SIMD for (count c = 0; c < channels; c++) mean[c] *= share;
    }
    free(own);
  }
  free(pivots);
  free(sums);
  free(pivot);
  free(weights);
  free(scale1);
}

INLINE void slopes(int kind, const float *restrict y, count n, count run,
                   const float *restrict scale, const float *restrict shift, float *restrict a,
                   float *restrict steep) {
  RUNS(n, run) {
    const float *restrict row = y + i;
    float *restrict value = a + i, *restrict to = steep + i;
    SIMD for (count c = 0; c < m; c++) {
      float found;
      to[c] = slope(kind, scale[c] * row[c] + shift[c], &found);
      value[c] = found;
    }
  }
}

/* Sixteen columns of several runs: their share of dw and, from dy2 at the input's rate, through w
 * and the activation's slope, dz1 and its sums. */
INLINE void spread_lanes(int taps, const float *dy2, const float *a1, const float *steep,
                         const float *y1, count rows, count channels, count run, const float *w,
                         const float *mean, float *dw, float *dz, float *dz_sum,
                         float *product_sum) {
  lanes weight[9], gradient[9];
  lanes centre = load(mean), sum = load(dz_sum), products = load(product_sum);
#pragma GCC unroll 9
  for (int k = 0; k < taps; k++) {
    weight[k] = load(w + k * run);
    gradient[k] = load(dw + k * run);
  }
  for (count row = 0; row < rows; row++) {
    count at = row * run;
    lanes a = load(a1 + at), da = {0};
#pragma GCC unroll 9
    for (int k = 0; k < taps; k++) {
      lanes g = load(dy2 + at - k * channels);
      da += weight[k] * g;
      gradient[k] += a * g;
    }
    da *= load(steep + at);
    store(dz + at, da);
    sum += da;
    products += da * (load(y1 + at) - centre);
  }
#pragma GCC unroll 9
  for (int k = 0; k < taps; k++) store(dw + k * run, gradient[k]);
  store(dz_sum, sum);
  store(product_sum, products);
}

/* The same of m numbers of one run, with any kernel. */
static void spread(int taps, const float *restrict dy2, const float *restrict a1,
                   const float *restrict steep, const float *restrict y1, count m, count channels,
                   count run, const float *restrict w, const float *restrict mean,
                   float *restrict dw, float *restrict dz, float *restrict dz_sum,
                   float *restrict product_sum) {
  clear(dz, m);
  for (int k = 0; k < taps; k++) {
    const float *restrict g = dy2 - k * channels, *restrict weight = w + k * run;
    float *restrict gradient = dw + k * run;
    SIMD for (count c = 0; c < m; c++) {
      dz[c] += weight[c] * g[c];
      gradient[c] += a1[c] * g[c];
    }
  }
  SIMD for (count c = 0; c < m; c++) {
    dz[c] *= steep[c];
    dz_sum[c] += dz[c];
    product_sum[c] += dz[c] * (y1[c] - mean[c]);
  }
}

/* dy2 = p * da2 * act2'(z2) + q * y2 + r, with da2 = du * s + dp. */
INLINE void excited_gradient(int kind, const float *restrict du, const float *restrict y2, count n,
                             count run, const float *restrict scale, const float *restrict shift,
                             const float *restrict s, const float *restrict dp,
                             const float *restrict p, const float *restrict q,
                             const float *restrict r, float *restrict dy2) {
  RUNS(n, run) {
    const float *restrict gradient = du + i, *restrict row = y2 + i;
    float *restrict to = dy2 + i;
    SIMD for (count c = 0; c < m; c++) {
      float value, steep = slope(kind, scale[c] * row[c] + shift[c], &value);
      to[c] = p[c] * (gradient[c] * s[c] + dp[c]) * steep + q[c] * row[c] + r[c];
    }
  }
}

/* The mean's gradient at each position, from that of the mean over time. */
INLINE float mean_share(const count *valid, count b, count length) {
  return 1.0f / (valid ? valid[b] : length);
}

/* norm2's coefficients where a2's gradient is du * s + dp, from `excite_backward`'s sums. */
static void excited_coefficients(const float *sums, const float *s, const float *dpooled,
                                 const count *valid, count segments, count length, count channels,
                                 const float *norm, float *dgamma, float *dbeta, float *pqr) {
  count plane = segments * channels;
  double *total = calloc(2 * channels, sizeof(double)), *products = total + channels;
  for (count b = 0; b < segments; b++) {
    const float *of = sums + b * channels, *own = s + b * channels, *dp = dpooled + b * channels;
    float share = mean_share(valid, b, length);
    SIMD for (count c = 0; c < channels; c++) {
      total[c] += own[c] * of[c] + share * dp[c] * of[plane + c];
      products[c] += own[c] * of[2 * plane + c] + share * dp[c] * of[3 * plane + c];
    }
  }
  norm_coefficients(total, products, positions_of(valid, segments, length), channels, norm, dgamma,
                    dbeta, pqr);
  free(total);
}

/* From the gradients of u = a2 * s and of `pooled` to those of y1, w and both norms. Where dgamma1
 * is NULL, there is no norm1: y1 is what is convolved, and norm1's scale 1, shift and mean 0. */
void depthwise_backward(int threads, int kind2, const float *du, const float *s,
                        const float *dpooled, const float *sums, const float *y2,
                        const count *valid2, count length2, const float *norm2, float *dgamma2,
                        float *dbeta2, int kind1, const float *y1, const count *valid1,
                        count segments, count length1, count channels, const float *norm1,
                        const float *w, int kernel, count stride, float *dw, float *dgamma1,
                        float *dbeta1, float *dy1) {
  count run = run_length(channels), parts = parts_of(segments), pad = kernel / 2;
  count n1 = length1 * channels, n2 = length2 * channels, block = rows_together(run) * run;
  float *pqr = numbers(3 * channels);
  excited_coefficients(sums, s, dpooled, valid2, segments, length2, channels, norm2, dgamma2,
                       dbeta2, pqr);
  float *tiles = repeated(
      (const float *[]){norm2, norm2 + channels, pqr, pqr + channels, pqr + 2 * channels, norm1,
                        norm1 + channels, norm1 + 2 * channels},
      8, channels, run);
  float *scale2 = tiles, *shift2 = tiles + run, *p = tiles + 2 * run, *q = p + run, *r = q + run;
  float *scale1 = tiles + 5 * run, *shift1 = tiles + 6 * run, *mean1 = tiles + 7 * run;
  float *weights = repeated_weights(w, channels, kernel, run);
  float *dw_parts = numbers(parts * kernel * channels), *dz_parts = numbers(parts * 2 * channels);
  IN_PARALLEL {
    /* dy2 at the input's rate, zeros between and around. */
    float *padded = calloc((length1 + stride + 2 * kernel) * channels, sizeof(float));
    float *dy2 = padded + kernel * channels, *dense = stride == 1 ? dy2 : numbers(n2);
    float *own = numbers((kernel + 4) * run + 2 * block), *dz_sum = own, *product_sum = own + run;
    float *own_s = own + 2 * run, *own_dp = own + 3 * run, *own_dw = own + 4 * run;
    float *a1 = own_dw + kernel * run, *steep = a1 + block;
    SHARED_OUT for (count part = 0; part < parts; part++) {
      clear(dz_sum, 2 * run);
      clear(own_dw, kernel * run);
      for (count b = first_of(part, parts, segments); b < first_of(part + 1, parts, segments);
           b++) {
        count used1 = numbers_of(valid1, b, length1, channels);
        count used2 = numbers_of(valid2, b, length2, channels);
        repeat(s + b * channels, channels, run, own_s);
        repeat(dpooled + b * channels, channels, run, own_dp);
        SIMD for (count c = 0; c < run; c++) own_dp[c] *= mean_share(valid2, b, length2);
        BY_ACTIVATION(kind2, excited_gradient(ACT, du + b * n2, y2 + b * n2, used2, run, scale2,
                                              shift2, own_s, own_dp, p, q, r, dense))
        clear(dense + used2, n2 - used2);
        for (count t = 0; t < length2 && stride > 1; t++)
          memcpy(dy2 + t * stride * channels, dense + t * channels, channels * sizeof(float));
        for (count begin = 0; begin < used1; begin += block) {
          count some = used1 - begin < block ? used1 - begin : block, rows = some / run;
          const float *row = y1 + b * n1 + begin, *from = dy2 + pad * channels + begin;
          float *to = dy1 + b * n1 + begin;
          BY_ACTIVATION(kind1, slopes(ACT, row, some, run, scale1, shift1, a1, steep))
          for (count c = 0; c < run; c += 16)
            BY_KERNEL(kernel,
                      spread_lanes(TAPS, from + c, a1 + c, steep + c, row + c, rows, channels, run,
                                   weights + c, mean1 + c, own_dw + c, to + c, dz_sum + c,
                                   product_sum + c),
                      for (count i = c; i < rows * run; i += run)
                        spread(kernel, from + i, a1 + i, steep + i, row + i, 16, channels, run,
                               weights + c, mean1 + c, own_dw + c, to + i, dz_sum + c,
                               product_sum + c))
          if (rows * run < some) {
            count i = rows * run;
            spread(kernel, from + i, a1 + i, steep + i, row + i, some - i, channels, run, weights,
                   mean1, own_dw, to + i, dz_sum, product_sum);
          }
        }
        clear(dy1 + b * n1 + used1, n1 - used1);
      }
      fold(dz_sum, channels, run, dz_parts + 2 * part * channels);
      fold(product_sum, channels, run, dz_parts + (2 * part + 1) * channels);
      for (int k = 0; k < kernel; k++)
        fold(own_dw + k * run, channels, run, dw_parts + (part * kernel + k) * channels);
    }
    if (stride > 1) free(dense);
    free(own);
    free(padded);
    BY_ONE {
      double *total = totals(dw_parts, parts, kernel * channels);
      for (int k = 0; k < kernel; k++)
        for (count c = 0; c < channels; c++) dw[c * kernel + k] = total[k * channels + c];
      free(total);
      if (dgamma1) {
        total = totals(dz_parts, parts, 2 * channels);
        norm_coefficients(total, total + channels, positions_of(valid1, segments, length1),
                          channels, norm1, dgamma1, dbeta1, pqr);
        for (int row = 0; row < 3; row++)
          repeat(pqr + row * channels, channels, run, p + row * run);
        free(total);
      }
    }
    if (dgamma1)
      SHARED_OUT for (count b = 0; b < segments; b++)
        RUNS(numbers_of(valid1, b, length1, channels), run) {
          const float *restrict row = y1 + b * n1 + i;
          float *restrict to = dy1 + b * n1 + i;
          SIMD for (count c = 0; c < m; c++) to[c] = p[c] * to[c] + q[c] * row[c] + r[c];
        }
  }
  free(dz_parts);
  free(dw_parts);
  free(weights);
  free(tiles);
  free(pqr);
}
