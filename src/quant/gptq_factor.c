/* quant/gptq_factor.c – what GPTQ takes from H: the order of columns and U, cut into blocks as the kernels read it. */
#include "quant/gptq_factor.h"
#include "base/mem.h"
#include "kern/chol.h"
#include "kern/gptq_step.h"
#include <math.h>
#include <stdlib.h>

enum { PANEL = LB_TILE_W };

/* Blocks end where a group ends that would otherwise begin inside one and reach beyond it: its grid, estimated when its
 * first column comes up, must see weights that are compensated for everything before. */
static int block_end(const lb_gptq_factor *f, int c0)
{
    int g = f->group, c1 = c0 + LB_GPTQ_BLOCK;
    if (g > 0 && g < LB_GPTQ_BLOCK) c1 = c0 + LB_GPTQ_BLOCK / g * g;
    else if (g > 0 && c1 > c0 / g * g + g) c1 = c0 / g * g + g;
    return c1 < f->k ? c1 : f->k;
}

/* f->group: 0 if blocks need not heed groups. */
static int heeded_group(int k, int group, const lb_gptq_opt *opt)
{
    bool fits = group >= k || LB_GPTQ_BLOCK % group == 0 || group % LB_GPTQ_BLOCK == 0;
    return opt->act_order || opt->static_groups || fits ? 0 : group;
}

static int panels(int n_col) { return (n_col + PANEL - 1) / PANEL; }

static bool cut_blocks(lb_gptq_factor *f, lb_err *err)
{
    size_t after = 0;
    for (int c = 0; c < f->k; c = block_end(f, c)) f->n_block++;
    f->blocks = lb_alloc((size_t)f->n_block, sizeof *f->blocks, "blocks of GPTQ", err);
    if (!f->blocks) return false;
    for (int b = 0, c = 0; b < f->n_block; b++) {
        lb_gptq_block *block = &f->blocks[b];
        block->c0 = c, block->c1 = c = block_end(f, c);
        after += (size_t)panels(f->k - c) * PANEL * (size_t)(c - block->c0);
    }
    f->inside = lb_alloc((size_t)f->n_block, LB_GPTQ_BLOCK * LB_GPTQ_BLOCK * sizeof(float), "factor of H", err);
    f->after = lb_alloc(after, sizeof(float), "factor of H", err);
    after = 0;
    for (int b = 0; f->after && b < f->n_block; b++) {
        lb_gptq_block *block = &f->blocks[b];
        block->u = f->inside + (size_t)b * LB_GPTQ_BLOCK * LB_GPTQ_BLOCK;
        block->after = f->after + after;
        after += (size_t)panels(f->k - block->c1) * PANEL * (size_t)(block->c1 - block->c0);
    }
    return f->inside && f->after;
}

/* ---- order, and the damped matrix ---- */
typedef struct build {
    lb_gptq_factor *f;
    const float *h;
    double *a;                   /* [ld,ld]: H in the order of columns, last one first */
    int ld;
    double mean, damp;
    uint8_t *bad;                /* [k] rows with a number that is none */
} build;

static double diag(const build *b, int i) { return (double)b->h[(size_t)i * (size_t)b->f->k + (size_t)i]; }

typedef struct key { double value; int at; } key;
static int by_falling_value(const void *p, const void *q)
{
    const key *a = p, *b = q;
    return a->value != b->value ? (a->value < b->value ? 1 : -1) : a->at < b->at ? -1 : 1;
}

static bool find_order(build *b, bool act_order, lb_err *err)
{
    lb_gptq_factor *f = b->f;
    key *keys = lb_alloc((size_t)f->k, sizeof *keys, "column order", err);
    if (!keys) return false;
    for (int i = 0; i < f->k; i++) {
        keys[i] = (key){diag(b, i), i};
        b->mean += keys[i].value;
        f->n_dead += keys[i].value == 0;
    }
    b->mean = f->n_dead < f->k ? b->mean / (f->k - f->n_dead) : 1; /* of the columns that live */
    if (act_order) qsort(keys, (size_t)f->k, sizeof *keys, by_falling_value);
    for (int i = 0; i < f->k; i++) f->perm[i] = keys[i].at;
    free(keys);
    return true;
}

/* Rows of b->a: H turned round, so that the inverse of its factor, turned round again, is U. */
static void fill_rows(void *arg, int i0, int i1)
{
    build *b = arg;
    const int *perm = b->f->perm;
    int k = b->f->k;
    for (int i = i0; i < i1; i++) {
        int p = perm[k - 1 - i];
        const float *h = b->h + (size_t)p * (size_t)k;
        double *a = b->a + (size_t)i * (size_t)b->ld;
        uint8_t bad = 0;
        for (int j = i; j < k; j++) {
            int q = perm[k - 1 - j];
            bool dead = diag(b, p) == 0 || diag(b, q) == 0;
            bad |= !isfinite(h[q]);
            a[j] = p != q ? (dead ? 0 : (double)h[q]) : (dead ? b->mean : (double)h[q]) + b->damp * b->mean;
        }
        b->bad[i] = bad;
    }
}

static void cut_rows(void *arg, int i0, int i1)
{
    build *b = arg;
    int k = b->f->k;
    for (int n = 0; n < b->f->n_block; n++) {
        const lb_gptq_block *block = &b->f->blocks[n];
        int n_col = block->c1 - block->c0;
        for (int i = i0 > block->c0 ? i0 : block->c0; i < i1 && i < block->c1; i++) {
            const double *u = b->a + (size_t)(k - 1 - i) * (size_t)b->ld;       /* U[i,j] = u[k − 1 − j] */
            float *in = block->u + (i - block->c0) * LB_GPTQ_BLOCK, *after = block->after + (i - block->c0) * PANEL;
            for (int j = i; j < block->c1; j++) in[j - block->c0] = (float)u[k - 1 - j];
            for (int j = block->c1; j < k; j++) {
                int at = j - block->c1;
                after[(size_t)(at / PANEL) * (size_t)n_col * PANEL + (size_t)(at % PANEL)] = (float)u[k - 1 - j];
            }
        }
    }
}

static bool check(const build *b, const char *name, lb_err *err)
{
    int k = b->f->k;
    for (int i = 0; i < k; i++)
        for (int j = 0; b->bad[i] && j < k; j++) {
            float v = b->h[(size_t)b->f->perm[k - 1 - i] * (size_t)k + (size_t)j];
            if (!isfinite(v))
                return lb_fail(err, LB_ENUMERIC, "%s: second moment of the inputs is %f at columns %d, %d: look for the "
                               "first layer whose output is not finite", name, (double)v, b->f->perm[k - 1 - i], j);
        }
    for (int i = 0; i < k; i++)
        if (diag(b, i) < 0)
            return lb_fail(err, LB_ENUMERIC, "%s: second moment of input column %d is %g, which no sum of squares is", name,
                           i, diag(b, i));
    return true;
}

static bool factor(build *b, lb_exec *ex, const lb_gptq_opt *opt, double *scratch, const char *name, lb_err *err)
{
    double more = 0.0015;
    b->damp = opt->damp > 0 ? (double)opt->damp : 0.01;
    for (int tries = 1;; tries++) {
        lb_parallel(ex, b->f->k, 16, fill_rows, b);
        if (tries == 1 && !check(b, name, err)) return false;
        int bad = lb_chol_inverse(ex, b->a, b->f->k, scratch);
        if (bad < 0) return true;
        if (b->damp >= 1)
            return lb_fail(err, LB_ENUMERIC, "%s: second moment of the inputs is not positive definite at column %d, even "
                           "with its mean diagonal %g added: it is no sum of x·xᵀ", name, b->f->perm[b->f->k - 1 - bad],
                           b->mean);
        if (tries > 8) more *= 2;
        b->damp = b->damp + more < 1 ? b->damp + more : 1;
    }
}

lb_gptq_factor *lb_gptq_factor_new(lb_exec *ex, const float *h, int k, int group, const lb_gptq_opt *opt,
                                   const char *name, lb_err *err)
{
    build b = {.h = h, .ld = lb_chol_ld(k)};
    double *scratch = NULL;
    bool ok = false;
    lb_gptq_factor *f = b.f = lb_alloc(1, sizeof *f, "factor of H", err);
    if (!f) return NULL;
    f->k = k;
    f->group = heeded_group(k, group, opt);
    f->act_order = opt->act_order;
    if (!(f->perm = lb_alloc((size_t)k, sizeof *f->perm, "column order", err))) goto done;
    if (!(b.bad = lb_alloc((size_t)k, 1, "rows of H", err))) goto done;
    if (!cut_blocks(f, err) || !find_order(&b, opt->act_order, err)) goto done;
    if (!(b.a = lb_alloc((size_t)b.ld * (size_t)b.ld, sizeof *b.a, "H in 64 bits", err))) goto done;
    if (!(scratch = lb_alloc(lb_chol_scratch(k), sizeof *scratch, "elimination of H", err))) goto done;
    if (!factor(&b, ex, opt, scratch, name, err)) goto done;
    lb_parallel(ex, k, 16, cut_rows, &b);
    f->damp = (float)b.damp;
    ok = true;
done:
    free(b.a);
    free(b.bad);
    free(scratch);
    if (!ok) lb_gptq_factor_free(f);
    return ok ? f : NULL;
}

void lb_gptq_factor_free(lb_gptq_factor *f)
{
    if (!f) return;
    free(f->perm);
    free(f->blocks);
    free(f->inside);
    free(f->after);
    free(f);
}

float lb_gptq_factor_damp(const lb_gptq_factor *f) { return f->damp; }
int lb_gptq_factor_dead(const lb_gptq_factor *f) { return f->n_dead; }
bool lb_gptq_factor_fits(const lb_gptq_factor *f, int k, int group, const lb_gptq_opt *opt)
{
    return f->k == k && f->group == heeded_group(k, group, opt) && f->act_order == opt->act_order;
}
