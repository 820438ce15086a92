/* guard.h – output buffers between guard words, and random inputs, for the operator tests. */
#ifndef LB_TEST_GUARD_H
#define LB_TEST_GUARD_H
#include "test.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "kern/op.h"

enum { GUARD = 32 };

static inline float *guard_new(size_t n)
{
    uint32_t *p = malloc((n + 2 * GUARD) * 4);
    assert_non_null(p);
    for (size_t i = 0; i < n + 2 * GUARD; i++) p[i] = 0xdeadbeefu;
    return (float *)(void *)p + GUARD;
}

static inline void guard_free(float *y, size_t n)
{
    uint32_t *p = (uint32_t *)(void *)(y - GUARD);
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(p[i], 0xdeadbeefu);
        assert_int_equal(p[GUARD + n + i], 0xdeadbeefu);
    }
    free(p);
}

/* n normal numbers; malloc'ed exactly, so that the sanitizer sees a read beyond them. */
static inline float *randoms(size_t n, uint64_t seed)
{
    float *x = malloc(n ? n * sizeof *x : 1);
    assert_non_null(x);
    lb_rng_key key = lb_rng_key_of(seed, 0, 0);
    for (size_t i = 0; i < n; i++) x[i] = lb_rng_normal(key, i);
    return x;
}

/* Rows of a table that this processor can run and that fit; row 0 is the reference. */
static inline bool runs_here(const lb_impl *impl, const void *args)
{
    return (impl->needs & ~lb_cpu_probe()) == 0 && (!impl->fits || impl->fits(args));
}
#endif
