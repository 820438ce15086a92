/* base/mem.c – checked allocation and arenas. */
#define _DEFAULT_SOURCE /* madvise */
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, HUGE_BYTES = 2 << 20 };

/* Zeroes a large block without touching it: the kernel hands out zero pages when they are first used, so a KV cache for
 * a long context costs what is used of it. Huge pages are advice: fewer TLB misses when weights stream by. */
static void zero_lazily(char *p, size_t n)
{
    (void)madvise(p, n, MADV_HUGEPAGE);
    if (madvise(p, n, MADV_DONTNEED) != 0) memset(p, 0, n);
}

void *lb_alloc(size_t count, size_t elem, const char *what, lb_err *err)
{
    size_t need = lb_arena_need(count, elem);
    if (need == SIZE_MAX) return lb_fail_null(err, LB_ENOMEM, "%s: %zu × %zu bytes overflow", what, count, elem);
    if (need == 0) need = ALIGN;
    bool huge = need >= 8 * (size_t)HUGE_BYTES;
    void *p = NULL;
    if (posix_memalign(&p, huge ? HUGE_BYTES : ALIGN, need) != 0) {
        lb_fail_mem(err, need, what);
        return NULL;
    }
    size_t whole = huge ? need / HUGE_BYTES * HUGE_BYTES : 0; /* whole pages of any size */
    if (whole) zero_lazily(p, whole);
    memset((char *)p + whole, 0, need - whole);
    return p;
}

bool lb_grow(void *p, size_t *cap, size_t want, size_t elem, const char *what, lb_err *err)
{
    if (want <= *cap) return true;
    size_t to = *cap ? *cap : 16, bytes;
    while (to < want)
        if (!lb_size_mul(to, 2, &to)) break;
    void *old;
    memcpy(&old, p, sizeof old);
    void *now = lb_size_mul(to, elem, &bytes) ? realloc(old, bytes) : NULL;
    if (!now) return lb_fail_mem(err, bytes, what);
    memcpy(p, &now, sizeof now);
    *cap = to;
    return true;
}

bool lb_arena_open(lb_arena *a, size_t size_bytes, const char *what, lb_err *err)
{
    a->used = a->size = 0;
    a->base = lb_alloc(size_bytes, 1, what, err);
    if (!a->base) return false;
    a->size = lb_arena_need(size_bytes, 1);
    return true;
}

void lb_arena_close(lb_arena *a)
{
    free(a->base);
    memset(a, 0, sizeof *a);
}

void *lb_arena_alloc(lb_arena *a, size_t count, size_t elem)
{
    size_t need = lb_arena_need(count, elem);
    if (need > a->size - a->used) return NULL;
    void *p = a->base + a->used;
    a->used += need;
    return p;
}

/* The number behind `key` in a small text file ("" for the first number in it); SIZE_MAX if there is none. */
static size_t number_in(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    char line[256];
    size_t v = SIZE_MAX;
    while (f && fgets(line, sizeof line, f)) {
        unsigned long long n;
        if (strncmp(line, key, strlen(key)) != 0 || sscanf(line + strlen(key), "%llu", &n) != 1) continue;
        v = (size_t)n;
        break;
    }
    if (f) fclose(f);
    return v;
}

size_t lb_mem_available(void)
{
    size_t kib = number_in("/proc/meminfo", "MemAvailable:"), most = number_in("/sys/fs/cgroup/memory.max", "");
    size_t used = number_in("/sys/fs/cgroup/memory.current", ""), cache = number_in("/sys/fs/cgroup/memory.stat", "file ");
    size_t free_bytes = kib == SIZE_MAX ? 0 : kib * 1024;
    if (most == SIZE_MAX || used == SIZE_MAX) return free_bytes;
    used -= cache < used ? cache : 0; /* pages of files go when memory is wanted */
    size_t left = used < most ? most - used : 0;
    return free_bytes == 0 || left < free_bytes ? left : free_bytes;
}
