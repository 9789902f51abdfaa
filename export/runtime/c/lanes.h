#include <stddef.h>

/* The sum of 16 lanes, in a fixed order. */
static inline double NAME_lanes_sum(double *lanes) {
  for (size_t half = 8; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; lane++) {
      lanes[lane] += lanes[lane + half];
    }
  }
  return lanes[0];
}
