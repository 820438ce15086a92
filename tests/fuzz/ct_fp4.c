/* ct_fp4.c – fuzz target: block-float tensors of any type, shape and content. What is read stands for finite numbers, and
 * must be packed to the same bytes. */
#include "store/ct_fp4.h"
#include <stdlib.h>
#include <string.h>

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

static void check(const lb_fp4mat *q, const lb_ct_scheme *s, const lb_tensor t[3])
{
    lb_ct_part part[LB_CT_MAX_PARTS];
    float *row = malloc((size_t)q->k * sizeof *row);
    int n_part = lb_ct_fp4_parts(s, q->n, q->k, part);
    for (int r = 0; row && r < q->n; r++) {
        lb_fp4_decode_row(q, r, row);
        for (int i = 0; i < q->k; i++)
            if (!isfinite(row[i])) abort();
    }
    free(row);
    for (int i = 0; i < n_part; i++) {
        uint8_t *out = malloc(part[i].size_bytes);
        if (!out) return;
        if (part[i].size_bytes != t[i].size_bytes) abort();
        lb_ct_fp4_pack(q, i, out);
        if (i < 2 && memcmp(out, t[i].data, t[i].size_bytes) != 0) abort();
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    feed f = {data, size};
    unsigned head = next(&f);
    bool nv = head & 1;
    lb_ct_scheme s = {.bits = 4, .group = nv ? 16 : 32, .symmetric = true, .format = nv ? LB_CT_NVFP4 : LB_CT_MXFP4};
    int n = (int)next(&f) % 20, k = (int)next(&f);
    if (!(head & 2)) k = k % 8 * s.group;
    lb_tensor t[3] = {0};
    bool made = make(&f, &t[2], LB_F32, 1, 1, 1) && make(&f, &t[1], nv ? LB_F8_E4M3 : LB_U8, 2, n, k / s.group) &&
                make(&f, &t[0], LB_U8, 2, n, k / 2);
    lb_fp4mat q;
    lb_err e = {0};
    if (made && lb_ct_fp4_unpack_tensors(&(lb_ct_fp4_tensors){&t[0], &t[1], &t[2]}, &s, n, k, &q, &e)) {
        check(&q, &s, t);
        lb_fp4mat_free(&q);
    } else if (made && e.code == LB_OK) abort(); /* a refusal says why */
    for (int i = 0; i < 3; i++) free((void *)t[i].data);
    return 0;
}
#include "fuzz/replay.inc"
