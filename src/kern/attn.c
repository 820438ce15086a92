/* kern/attn.c – the definition of attention and of the cache it reads, and their tables. */
#include "kern/attn.h"
#include "base/mem.h"
#ifdef LB_WITH_CUDA
#include "kern/cuda/rows.h"
#endif
#include "kern/x86/attn_x86.h"
#include <math.h>
#include <string.h>

/* ---- formats ---- */
static size_t page_elems(int n_kv, int d_head) { return (size_t)n_kv * (size_t)d_head * LB_PAGE; }
static size_t page_f32(int n_kv, int d_head) { return 4 * page_elems(n_kv, d_head); }
static size_t page_bf16(int n_kv, int d_head) { return 2 * page_elems(n_kv, d_head); }

static const lb_kv_format lb_kv_f32 = {.name = "f32", .bits = 32, .dtype = LB_F32, .page_bytes = page_f32};
static const lb_kv_format lb_kv_bf16 = {.name = "bf16", .bits = 16, .dtype = LB_BF16, .page_bytes = page_bf16};

#define LB_KV(m) &lb_kv_##m,
const lb_kv_format *const lb_kv_formats[] = {
#include "kern/kvs.def"
    NULL};

const lb_kv_format *lb_kv_format_find(const char *name)
{
    for (int i = 0; lb_kv_formats[i]; i++)
        if (strcmp(lb_kv_formats[i]->name, name) == 0) return lb_kv_formats[i];
    return NULL;
}

/* ---- references ---- */
static int page_of(const lb_kv_map *m, int t, int pos)
{
    return m->pages[(size_t)m->seq[t] * (size_t)m->max_pages + (size_t)(pos / LB_PAGE)];
}

static void kv_write_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_kv_write *a = args;
    const lb_kv_layer *l = &a->kv;
    for (int i = i0; i < i1; i++) {
        int h = i / a->n_tok, t = i % a->n_tok, pos = a->map.pos[t], slot = pos % LB_PAGE;
        int page = page_of(&a->map, t, pos);
        size_t from = ((size_t)t * (size_t)l->n_kv + (size_t)h) * (size_t)l->d_head;
        const float *k = a->k + from, *v = a->v + from;
        for (int d = 0; d < l->d_head; d++) {
            lb_store_f32(l->k, l->format->dtype, lb_kv_k_at(l, page, h, slot, d), k[d]);
            lb_store_f32(l->v, l->format->dtype, lb_kv_v_at(l, page, h, slot, d), v[d]);
        }
    }
}

static double score(const lb_attn *a, const float *q, int page, int h, int slot)
{
    double s = 0;
    for (int d = 0; d < a->kv.d_head; d++)
        s += (double)q[d] * (double)lb_load_f32(a->kv.k, a->kv.format->dtype, lb_kv_k_at(&a->kv, page, h, slot, d));
    return s * (double)a->scale;
}

static void attn_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_attn *a = args;
    int n_kv = a->kv.n_kv, d_head = a->kv.d_head, per_kv = a->n_head / n_kv;
    for (int i = i0; i < i1; i++) {
        int h = i / a->n_tok, t = i % a->n_tok, pos = a->map.pos[t];
        for (int g = 0; g < per_kv; g++) {
            size_t at = ((size_t)t * (size_t)a->n_head + (size_t)(h * per_kv + g)) * (size_t)d_head;
            const float *q = a->q + at;
            double best = -INFINITY, sum = 0;
            for (int p = 0; p <= pos; p++) best = fmax(best, score(a, q, page_of(&a->map, t, p), h, p % LB_PAGE));
            for (int p = 0; p <= pos; p++) sum += exp(score(a, q, page_of(&a->map, t, p), h, p % LB_PAGE) - best);
            for (int d0 = 0; d0 < d_head; d0 += 32) {
                double y[32] = {0};
                for (int p = 0; p <= pos; p++) {
                    int page = page_of(&a->map, t, p);
                    double w = exp(score(a, q, page, h, p % LB_PAGE) - best) / sum;
                    for (int d = d0; d < d_head && d < d0 + 32; d++)
                        y[d - d0] += w * (double)lb_load_f32(a->kv.v, a->kv.format->dtype,
                                                             lb_kv_v_at(&a->kv, page, h, p % LB_PAGE, d));
                }
                for (int d = d0; d < d_head && d < d0 + 32; d++) a->y[at + (size_t)d] = (float)y[d - d0];
            }
        }
    }
}

/* ---- tables ---- */
static bool is_float(const lb_kv_layer *l)
{
    const lb_kv_format *f = l->format;
    return (f->dtype == LB_F32 && f->bits == 32) || (f->dtype == LB_BF16 && f->bits == 16);
}
static bool attn_fits_x86(const void *args)
{
    const lb_attn *a = args;
    return is_float(&a->kv) && a->kv.d_head % 2 == 0 && a->kv.d_head <= LB_ATTN_X86_MAX_D;
}
static bool write_fits_x86(const void *args) { return is_float(&((const lb_kv_write *)args)->kv); }
#ifdef LB_WITH_CUDA
static bool attn_fits_cuda(const void *args)
{
    const lb_kv_layer *l = &((const lb_attn *)args)->kv;
    return is_float(l) && l->d_head <= LB_ATTN_CUDA_MAX_D;
}
static bool write_fits_cuda(const void *args) { return is_float(&((const lb_kv_write *)args)->kv); }
#endif

const lb_impl lb_attn_impls[] = {
    {"ref", 0, NULL, attn_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, attn_fits_x86, lb_attn_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, attn_fits_x86, lb_attn_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, attn_fits_cuda, lb_attn_cuda, NULL, NULL})
    {0},
};
const lb_impl lb_kv_write_impls[] = {
    {"ref", 0, NULL, kv_write_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, write_fits_x86, lb_kv_write_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, write_fits_x86, lb_kv_write_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, write_fits_cuda, lb_kv_write_cuda, NULL, NULL})
    {0},
};

static int attn_units(const void *args) { const lb_attn *a = args; return a->n_tok * a->kv.n_kv; }
static int attn_grain(const void *args) { (void)args; return 1; }
static int write_units(const void *args) { const lb_kv_write *a = args; return a->n_tok * a->kv.n_kv; }
static int write_grain(const void *args) { (void)args; return 32; }

const lb_op lb_op_attn = {"attn", lb_attn_impls, attn_units, attn_grain, NULL};
const lb_op lb_op_kv_write = {"kv_write", lb_kv_write_impls, write_units, write_grain, NULL};
