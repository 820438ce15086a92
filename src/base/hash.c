/* base/hash.c – XXH3-128, chained. */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "base/hash.h"
#include <stdio.h>

lb_hash lb_hash_bytes(const void *p, size_t n, lb_hash seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(p, n, seed.lo ^ (seed.hi * 0x9e3779b97f4a7c15u));
    return (lb_hash){.hi = h.high64, .lo = h.low64};
}

void lb_hash_hex(lb_hash h, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

int lb_hash_order(const void *a, const void *b)
{
    const lb_hash *x = a, *y = b;
    if (x->hi != y->hi) return x->hi < y->hi ? -1 : 1;
    return (x->lo > y->lo) - (x->lo < y->lo);
}
