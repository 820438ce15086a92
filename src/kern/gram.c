/* kern/gram.c – the definition of the second moment, its table, and the call that checks its input. */
#include "kern/gram.h"
#if defined(__x86_64__)
#include "kern/x86/gram_x86.h"
#endif
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

void lb_gram_pair(int unit, int *i, int *j)
{
    int c = (int)((sqrt(8.0 * unit + 1) - 1) / 2);
    while ((int64_t)(c + 1) * (c + 2) / 2 <= unit) c++;
    while ((int64_t)c * (c + 1) / 2 > unit) c--;
    *i = unit - (int)((int64_t)c * (c + 1) / 2);
    *j = c;
}

static int panel_end(int panel, int k) { return (panel + 1) * LB_GRAM_PANEL < k ? (panel + 1) * LB_GRAM_PANEL : k; }

void lb_gram_mirror(const lb_gram *a, int i, int j)
{
    float block[LB_GRAM_PANEL][LB_GRAM_PANEL + 1];           /* odd pitch: no two rows share a cache set */
    int i0 = i * LB_GRAM_PANEL, i1 = panel_end(i, a->k), j0 = j * LB_GRAM_PANEL, j1 = panel_end(j, a->k);
    if (i == j) return;                                     /* both halves were computed, by the same products */
    for (int r = i0; r < i1; r++)
        memcpy(block[r - i0], a->h + (size_t)r * (size_t)a->k + j0, (size_t)(j1 - j0) * sizeof(float));
    for (int c = j0; c < j1; c++)
        for (int r = i0; r < i1; r++) a->h[(size_t)c * (size_t)a->k + (size_t)r] = block[r - i0][c - j0];
}

static void ref(const void *args, int u0, int u1, lb_exec *ex)
{
    (void)ex;
    const lb_gram *a = args;
    size_t k = (size_t)a->k;
    for (int u = u0; u < u1; u++) {
        int i, j;
        lb_gram_pair(u, &i, &j);
        for (int r = i * LB_GRAM_PANEL; r < panel_end(i, a->k); r++)
            for (int c = j * LB_GRAM_PANEL; c < panel_end(j, a->k); c++) {
                double sum = (double)a->h[(size_t)r * k + (size_t)c];
                for (size_t t = 0; t < (size_t)a->n_tok; t++)
                    sum += (double)a->x[t * k + (size_t)r] * (double)a->x[t * k + (size_t)c];
                a->h[(size_t)r * k + (size_t)c] = (float)sum;
            }
        lb_gram_mirror(a, i, j);
    }
}

static const lb_impl impls[] = {
    {"ref", 0, NULL, ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_gram_avx2, lb_gram_scratch, lb_gram_prep})
    LB_X86({"avx512", LB_AVX512, NULL, lb_gram_avx512, lb_gram_scratch, lb_gram_prep})
    {0},
};

static int units(const void *args)
{
    int p = lb_gram_panels(((const lb_gram *)args)->k);
    return p * (p + 1) / 2;
}
/* About 2e6 multiplications a piece at least. */
static int grain(const void *args)
{
    const lb_gram *a = args;
    int g = 2000000 / (LB_GRAM_PANEL * LB_GRAM_PANEL) / (a->n_tok > 0 ? a->n_tok : 1);
    return g > 1 ? g : 1;
}
static int prep_units(const void *args) { return ((const lb_gram *)args)->n_tok; }

const lb_op lb_op_gram = {"gram", impls, units, grain, prep_units};

/* ---- checked ---- */
enum { PIECE = 2048 };           /* tokens packed at a time: 8 KiB of scratch a column */

typedef struct scan {
    const float *x;
    size_t k;
    uint8_t *bad;                /* [n_tok] */
} scan;

static void scan_rows(void *arg, int t0, int t1)
{
    const scan *s = arg;
    for (int t = t0; t < t1; t++) {
        const float *x = s->x + (size_t)t * s->k;
        uint32_t bad = 0;
        for (size_t i = 0; i < s->k; i++) {
            uint32_t u;
            memcpy(&u, x + i, 4);
            bad |= (u & 0x7f800000u) == 0x7f800000u;
        }
        s->bad[t] = (uint8_t)bad;
    }
}

static bool finite_piece(lb_exec *ex, const float *x, int first, int n_tok, int k, lb_err *err)
{
    uint8_t bad[PIECE];
    scan s = {x + (size_t)first * (size_t)k, (size_t)k, bad};
    lb_parallel(ex, n_tok, 65536 / k + 1, scan_rows, &s);
    for (int t = 0; t < n_tok; t++)
        for (int i = 0; bad[t] && i < k; i++) {
            float v = s.x[(size_t)t * s.k + (size_t)i];
            if (!isfinite(v))
                return lb_fail(err, LB_ENUMERIC, "input is %f at token %d, column %d", (double)v, first + t, i);
        }
    return true;
}

bool lb_gram_add(lb_exec *ex, float *h, const float *x, int n_tok, int k, lb_err *err)
{
    lb_gram a = {.h = h, .k = k, .n_tok = n_tok < PIECE ? n_tok : PIECE};
    const lb_impl *impl = lb_op_pick(&lb_op_gram, ex, &a);
    assert(impl && k > 0 && n_tok >= 0);
    if (impl->scratch && !lb_exec_reserve(ex, impl->scratch(&a), err)) return false;
    for (int t = 0; t < n_tok; t += PIECE)
        if (!finite_piece(ex, x, t, n_tok - t < PIECE ? n_tok - t : PIECE, k, err)) return false;
    for (int t = 0; t < n_tok; t += PIECE) {
        a.x = x + (size_t)t * (size_t)k;
        a.n_tok = n_tok - t < PIECE ? n_tok - t : PIECE;
        lb_op_run(&lb_op_gram, impl, &a, ex);
    }
    return true;
}
