/* Squeeze-and-excitation's part on the map: weighing each segment's channels, and backward. */

#include "activations.h"
#include "maps.h"

INLINE void scale_activated(int kind, const float *restrict y, count n, count run,
                            const float *restrict scale, const float *restrict shift,
                            const float *restrict s, float *restrict out) {
  RUNS(n, run) {
    const float *restrict row = y + i;
    float *restrict to = out + i;
    SIMD for (count c = 0; c < m; c++)
      to[c] = s[c] * activated(kind, scale[c] * row[c] + shift[c]);
  }
}

/* u = act(z) * s, where s is [segment][channel]. */
void excite_forward(int threads, int kind, const float *y, const count *valid, count segments,
                    count length, count channels, const float *norm, const float *s, float *u) {
  count run = run_length(channels), n = length * channels;
  float *scale = repeated((const float *[]){norm, norm + channels}, 2, channels, run);
  float *shift = scale + run;
  IN_PARALLEL {
    float *own = numbers(run);
    SHARED_OUT for (count b = 0; b < segments; b++) {
      count used = numbers_of(valid, b, length, channels), at = b * n;
      repeat(s + b * channels, channels, run, own);
      BY_ACTIVATION(kind, scale_activated(ACT, y + at, used, run, scale, shift, own, u + at))
      clear(u + at + used, n - used);
    }
    free(own);
  }
  free(scale);
}

/* Add du * a to ds, and to the four sums of `excite_backward` what is theirs. */
INLINE void add_excitations(int kind, const float *restrict du, const float *restrict y, count n,
                            count run, const float *restrict scale, const float *restrict shift,
                            const float *restrict mean, float *restrict own) {
  float *restrict ds = own, *restrict dz = own + run, *restrict steepness = own + 2 * run;
  float *restrict dz_products = own + 3 * run, *restrict products = own + 4 * run;
  RUNS(n, run) {
    const float *restrict gradient = du + i, *restrict row = y + i;
    SIMD for (count c = 0; c < m; c++) {
      float value, steep = slope(kind, scale[c] * row[c] + shift[c], &value);
      float own_dz = gradient[c] * steep, deviation = row[c] - mean[c];
      ds[c] += gradient[c] * value;
      dz[c] += own_dz;
      steepness[c] += steep;
      dz_products[c] += own_dz * deviation;
      products[c] += steep * deviation;
    }
  }
}

/* From the gradient du of u = act(z) * s: that of s, [segment][channel], and sums over time
 * [4][segment][channel] of du * act', act', du * act' * (y - mean) and act' * (y - mean), which are
 * all that the norm's gradient asks of the map, before the pooled mean's gradient is known. */
void excite_backward(int threads, int kind, const float *du, const float *y, const count *valid,
                     count segments, count length, count channels, const float *norm,
                     float *ds, float *sums) {
  count run = run_length(channels), n = length * channels;
  float *scale = repeated((const float *[]){norm, norm + channels, norm + 2 * channels}, 3,
                          channels, run);
  float *shift = scale + run, *mean = scale + 2 * run;
  IN_PARALLEL {
    float *own = numbers(5 * run);
    SHARED_OUT for (count b = 0; b < segments; b++) {
      count used = numbers_of(valid, b, length, channels), at = b * n;
      clear(own, 5 * run);
      BY_ACTIVATION(kind,
                    add_excitations(ACT, du + at, y + at, used, run, scale, shift, mean, own))
      fold(own, channels, run, ds + b * channels);
      for (int sum = 0; sum < 4; sum++)
        fold(own + (sum + 1) * run, channels, run, sums + (sum * segments + b) * channels);
    }
    free(own);
  }
  free(scale);
}
