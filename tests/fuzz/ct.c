/* ct.c – fuzz target: pack-quantized tensors of any type, shape and content. What is read must be packed to the same
 * codes. */
#include "store/ct.h"
#include <stdlib.h>

typedef struct feed {
    const uint8_t *p;
    size_t n;
} feed;

static unsigned next(feed *f) { return f->n ? f->n--, *f->p++ : 0; }

/* A tensor as a store would give it: its size follows from its shape; the bytes are exact, so that ASan sees a read
 * past them. */
static bool make(feed *f, lb_tensor *t, lb_dtype usual, int rank, int64_t d0, int64_t d1)
{
    *t = (lb_tensor){.name = "t", .file = "f", .dtype = usual, .rank = rank, .shape = {d0, d1}};
    unsigned change = next(f);
    if (change & 1) t->shape[change >> 1 & 1] += (int)(change >> 2 & 7) - 3;
    if (change & 32) t->dtype = (lb_dtype)(change % LB_N_DTYPE);
    if (change & 64) t->rank = (int)(change >> 1 & 3);
    size_t n = lb_dtype_bytes(t->dtype);
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] < 0) t->shape[i] = 0;
        n *= (size_t)t->shape[i];
    }
    uint8_t *data = malloc(n ? n : 1);
    if (!data) return false;
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)next(f);
    t->data = data;
    t->size_bytes = n;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    feed f = {data, size};
    static const int bits[] = {2, 3, 4, 8}, groups[] = {0, 32, 64, 128};
    unsigned head = next(&f);
    lb_ct_scheme s = {.bits = bits[head & 3], .group = groups[head >> 2 & 3], .symmetric = head >> 4 & 1};
    if (s.bits == 2 && !s.symmetric && head >> 7) s.format = LB_CT_HALF;
    int n = (int)next(&f) % 40, k = (int)next(&f), G = s.group && s.group < k ? lb_n_group(k, s.group) : 1;
    bool padded = head >> 5 & 1;
    int per_word = 32 / s.bits;
    int64_t cols = padded ? (k + per_word - 1) / per_word : (k * s.bits + 31) / 32;
    int64_t rows = padded ? (n + per_word - 1) / per_word : (n * s.bits + 31) / 32;
    static const lb_dtype scales[] = {LB_BF16, LB_F16, LB_F32};
    lb_tensor t[4];
    int64_t shape[2] = {n, k};
    if (!make(&f, &t[2], LB_I64, 1, 2, 1)) return 0;
    if (t[2].size_bytes == 16) memcpy((void *)t[2].data, shape, 16);
    bool made = make(&f, &t[0], LB_I32, 2, n, cols) && make(&f, &t[1], scales[head >> 6 & 1], 2, n, G) &&
                make(&f, &t[3], s.format == LB_CT_HALF ? LB_F8_E4M3 : LB_I32, 2, s.format == LB_CT_HALF ? n : rows, G);
    lb_qmat q, again;
    lb_err e = {0};
    lb_ct_tensors in = {
        .packed = &t[0], .scale = &t[1], .shape = &t[2], .zero = s.symmetric && !(head >> 7) ? NULL : &t[3]};
    if (made && lb_ct_unpack_tensors(&in, &s, n, k, &q, &e)) {
        lb_ct_part part[LB_CT_MAX_PARTS];
        int n_part = lb_ct_parts(&s, n, k, q.scale_type, part);
        for (int i = 0; i < n_part; i++) {
            free((void *)t[i].data);
            t[i].data = malloc(part[i].size_bytes);
            t[i].size_bytes = part[i].size_bytes, t[i].rank = part[i].rank, t[i].dtype = part[i].dtype;
            memcpy(t[i].shape, part[i].shape, sizeof part[i].shape);
            if (!lb_ct_pack(&q, &s, i, (uint8_t *)t[i].data, &e)) abort();
        }
        if (s.symmetric) in.zero = NULL;
        if (!lb_ct_unpack_tensors(&in, &s, n, k, &again, &e)) abort();
        size_t ng = (size_t)n * (size_t)lb_n_group(k, q.group);
        if (memcmp(q.codes, again.codes, (size_t)n * (size_t)k) || memcmp(q.zeros, again.zeros, ng) ||
            memcmp(q.scales, again.scales, ng * sizeof *q.scales))
            abort();
        lb_qmat_free(&q);
        lb_qmat_free(&again);
    }
    for (int i = 0; i < (made ? 4 : 0); i++) free((void *)t[i].data);
    return 0;
}
#include "fuzz/replay.inc"
