/* base/rng.h – counter-based random numbers.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the number at a position is a
 * function of (key, position) and nothing else, so the text for (seed, problem, sample) is the same in any batch, on
 * any thread and after a resume. */
#ifndef LB_BASE_RNG_H
#define LB_BASE_RNG_H
#include <stdint.h>

typedef struct lb_rng_key {
    uint32_t k[2];
    uint32_t stream[2];      /* upper half of the counter */
} lb_rng_key;

/* The stream of (seed, problem, sample). Problem is any 64-bit id, usually a hash. */
lb_rng_key lb_rng_key_of(uint64_t seed, uint64_t problem, uint64_t sample);
/* Four words for one position; the raw Philox block. */
void lb_rng_block(lb_rng_key key, uint64_t position, uint32_t out[4]);
/* Uniform in [0,1) with 53 bits, for one position. */
double lb_rng_uniform(lb_rng_key key, uint64_t position);
/* A standard normal for one position (Box–Muller). */
float lb_rng_normal(lb_rng_key key, uint64_t position);
/* Mixes a 64-bit value (splitmix64 finalizer): for making ids. */
uint64_t lb_mix64(uint64_t x);
#endif
