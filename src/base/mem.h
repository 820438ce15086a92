/* base/mem.h – checked sizes and arenas.
 *
 * Memory is grouped by lifetime (model, session, step): one arena each, sized before it is opened. */
#ifndef LB_BASE_MEM_H
#define LB_BASE_MEM_H
#include "base/err.h"

/* *out = a*b (a+b); false if it overflows, and then *out is SIZE_MAX. */
static inline bool lb_size_mul(size_t a, size_t b, size_t *out)
{
    if (!__builtin_mul_overflow(a, b, out)) return true;
    *out = SIZE_MAX;
    return false;
}
static inline bool lb_size_add(size_t a, size_t b, size_t *out)
{
    if (!__builtin_add_overflow(a, b, out)) return true;
    *out = SIZE_MAX;
    return false;
}

/* Zeroed memory for count*elem bytes, 64-byte aligned; NULL with LB_ENOMEM on overflow or exhaustion (and for
 * nothing else: a zero size gives a valid pointer). Release with free(). */
void *lb_alloc(size_t count, size_t elem, const char *what, lb_err *err);

/* Bytes that this process can still take: what the system calls available, or what its memory cgroup leaves, whichever is
 * less; 0 if neither says. */
size_t lb_mem_available(void);

/* realloc for arrays that grow: at least `want` elements, doubling; *cap is updated. False leaves *p as it was. */
bool lb_grow(void *p, size_t *cap, size_t want, size_t elem, const char *what, lb_err *err);

/* A bump allocator over one block. */
typedef struct lb_arena {
    char *base;      /* owned; NULL when closed */
    size_t size, used;
} lb_arena;

bool lb_arena_open(lb_arena *a, size_t size_bytes, const char *what, lb_err *err);
void lb_arena_close(lb_arena *a);
/* count*elem bytes, 64-byte aligned, not zeroed; NULL on overflow or when the arena is full. */
void *lb_arena_alloc(lb_arena *a, size_t count, size_t elem);
static inline void lb_arena_reset(lb_arena *a) { a->used = 0; }
/* What lb_arena_alloc takes for count*elem bytes: for adding up an arena's size before it is opened. */
static inline size_t lb_arena_need(size_t count, size_t elem)
{
    size_t n;
    if (!lb_size_mul(count, elem, &n) || n > SIZE_MAX - 63) return SIZE_MAX;
    return (n + 63) & ~(size_t)63;
}
#endif
