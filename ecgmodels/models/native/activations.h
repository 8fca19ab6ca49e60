/* Activations and their slopes, for compilers to vectorise. */

#ifndef ACTIVATIONS_H
#define ACTIVATIONS_H

#include <math.h>

#include "maps.h"

enum { IDENTITY, SILU, RELU, GELU, HARDSWISH };

/* e^x within 3e-7 of itself where |x| < 1, within 4e-6 at 80: 2^n times 2^f with |f| <= 1/2, which
 * is a polynomial that (2^f - 1) / f was interpolated by at the Chebyshev nodes. */
INLINE float exponential(float x) {
  float y = x * 1.44269504f;
  y = y < -126.0f ? -126.0f : y;
  y = y > 126.0f ? 126.0f : y;
  float n = __builtin_rintf(y), f = y - n;
  float p = 1.3381303e-3f;
  p = p * f + 9.6663685e-3f;
  p = p * f + 5.5503810e-2f;
  p = p * f + 2.4022349e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.0f;
  union { float f; uint32_t i; } bits = {p};
  bits.i += (uint32_t)(int32_t)n << 23;
  return bits.f;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/* The share of the normal distribution below x, within 2e-7 (Abramowitz & Stegun, 7.1.26). */
INLINE float normal_below(float x) {
  float a = fabsf(x) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * a), p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  float tail = 0.5f * p * t * exponential(-a * a);
  return x < 0 ? tail : 1.0f - tail;
}

/* act(x) into *value; returns act'(x). What is not a number stays so. */
INLINE float slope(int kind, float x, float *value) {
  if (kind == SILU) {
    float s = sigmoid(x), v = x * s;
    *value = v;
    return s + v * (1.0f - s);
  }
  if (kind == RELU) {
    *value = x < 0 ? 0 : x;
    return x > 0 ? 1 : 0;
  }
  if (kind == GELU) {
    float below = normal_below(x);
    *value = x * below;
    return below + x * 0.39894228f * exponential(-0.5f * x * x);
  }
  if (kind == HARDSWISH) {
    float ramp = x + 3.0f;
    ramp = ramp < 0 ? 0 : ramp;
    ramp = ramp > 6.0f ? 6.0f : ramp;
    *value = x * ramp / 6.0f;
    return x <= -3.0f ? 0 : (x >= 3.0f ? 1 : x / 3.0f + 0.5f);
  }
  *value = x;
  return 1;
}

INLINE float activated(int kind, float x) {
  float value;
  slope(kind, x, &value);
  return value;
}

/* Compile CALL once for each activation, as the constant ACT. */
#define BY_ACTIVATION(kind, CALL)                              \
  switch (kind) {                                              \
    case SILU: { enum { ACT = SILU }; CALL; break; }           \
    case RELU: { enum { ACT = RELU }; CALL; break; }           \
    case GELU: { enum { ACT = GELU }; CALL; break; }           \
    case HARDSWISH: { enum { ACT = HARDSWISH }; CALL; break; } \
    default: { enum { ACT = IDENTITY }; CALL; }                \
  }

#endif
