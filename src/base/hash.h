/* base/hash.h – content identity (XXH3-128), for keys of results and caches. Not a signature. */
#ifndef LB_BASE_HASH_H
#define LB_BASE_HASH_H
#include "base/err.h"

typedef struct lb_hash {
    uint64_t hi, lo;
} lb_hash;

lb_hash lb_hash_bytes(const void *p, size_t n, lb_hash seed);      /* chain by passing the last hash; start with {0} */
static inline lb_hash lb_hash_of(const void *p, size_t n) { return lb_hash_bytes(p, n, (lb_hash){0, 0}); }
void lb_hash_hex(lb_hash h, char out[33]);
int lb_hash_order(const void *a, const void *b);     /* of two lb_hash, for qsort and bsearch */
#endif
