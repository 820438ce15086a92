/* kern/chol.c – the elimination: its blocks one after the other, the definition of a step, and the table. */
#include "kern/chol.h"
#include "kern/x86/chol_x86.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { PANEL = LB_CHOL_PANEL, BLOCK = LB_CHOL_BLOCK };

/* c[m rows, PANEL] −= Aᵀ·B for panels a, b of `depth` rows. */
static void outer(const double *a, const double *b, int depth, double *c, size_t ldc)
{
    for (int i = 0; i < PANEL; i++)
        for (int j = 0; j < PANEL; j++) {
            double sum = c[(size_t)i * ldc + (size_t)j];
            for (int t = 0; t < depth; t++) sum = fma(-a[t * PANEL + i], b[t * PANEL + j], sum);
            c[(size_t)i * ldc + (size_t)j] = sum;
        }
}

void lb_chol_columns(const lb_chol_step *s, int q,
                     void (*minus)(const double *, const double *, int, double *, size_t))
{
    double b[BLOCK * PANEL];
    int depth = s->n_panel * PANEL;
    size_t ld = (size_t)s->ld;
    double *rows = s->a + (size_t)s->first * PANEL * ld + (size_t)q * PANEL;
    double *out = s->packed + (size_t)q * (size_t)depth * PANEL;
    for (int t = 0; t < depth; t++) memcpy(b + t * PANEL, rows + (size_t)t * ld, PANEL * sizeof *b);
    if (q >= s->first && q < s->first + s->n_panel) { /* the identity becomes T, which is already there */
        memcpy(out, b, (size_t)depth * PANEL * sizeof *b);
        return;
    }
    memset(out, 0, (size_t)depth * PANEL * sizeof *out);
    for (int p = 0; p < s->n_panel; p++) /* T is lower triangular: row panel p ends with its own columns */
        minus(s->t + (size_t)p * (size_t)depth * PANEL, b, (p + 1) * PANEL, out + p * PANEL * PANEL, PANEL);
    if (q > s->first) return; /* the rows of the factor itself are not asked for */
    for (int t = 0; t < depth; t++) memcpy(rows + (size_t)t * ld, out + t * PANEL, PANEL * sizeof *out);
}

void lb_chol_rows(const lb_chol_step *s, int u, void (*minus)(const double *, const double *, int, double *, size_t))
{
    int p = lb_chol_row_panel(s, u), end = s->first + s->n_panel, n = s->ld / PANEL;
    size_t ld = (size_t)s->ld, size = (size_t)s->n_panel * PANEL * PANEL;
    for (int q = 0; q < n; q = q == end - 1 ? p : q + 1)
        minus(s->packed + (size_t)p * size, s->packed + (size_t)q * size, s->n_panel * PANEL,
              s->a + (size_t)p * PANEL * ld + (size_t)q * PANEL, ld);
}

static void ref(const void *args, int u0, int u1, lb_exec *ex)
{
    (void)ex;
    const lb_chol_step *s = args;
    for (int u = u0; u < u1; u++) {
        if (s->stage == 0) lb_chol_columns(s, u, outer);
        else lb_chol_rows(s, u, outer);
    }
}

static const lb_impl impls[] = {
    {"ref", 0, NULL, ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_chol_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_chol_avx512, NULL, NULL})
    {0},
};

static int units(const void *args)
{
    const lb_chol_step *s = args;
    return s->stage == 0 ? s->ld / PANEL : s->ld / PANEL - s->first - s->n_panel;
}
static int grain(const void *args) { return ((const lb_chol_step *)args)->stage == 0 ? 4 : 1; }

const lb_op lb_op_chol = {"chol", impls, units, grain, NULL};

/* The m rows of the block's own square at d: its inverted factor goes to the lower triangle there (zeros above) and,
 * turned and negated, to t. Returns −1 or the row of a bad pivot. */
static int diagonal(double *d, size_t ld, int m, double *t)
{
    double v[BLOCK][BLOCK], inv[BLOCK][BLOCK];
    for (int i = 0; i < m; i++) memcpy(v[i], d + (size_t)i * ld, (size_t)m * sizeof **v);
    for (int r = 0; r < m; r++) {
        if (!(v[r][r] > 0) || isinf(v[r][r])) return r;
        double root = sqrt(v[r][r]);
        v[r][r] = root;
        for (int j = r + 1; j < m; j++) v[r][j] /= root;
        for (int i = r + 1; i < m; i++)
            for (int j = i; j < m; j++) v[i][j] -= v[r][i] * v[r][j];
    }
    memset(inv, 0, sizeof inv);
    for (int r = 0; r < m; r++) {
        inv[r][r] = 1;
        for (int s = 0; s < r; s++)
            for (int j = 0; j <= s; j++) inv[r][j] -= v[s][r] * inv[s][j];
        for (int j = 0; j <= r; j++) inv[r][j] /= v[r][r];
    }
    for (int i = 0; i < m; i++) memcpy(d + (size_t)i * ld, inv[i], (size_t)m * sizeof **inv);
    for (int p = 0; p < m / PANEL; p++)
        for (int c = 0; c < m; c++)
            for (int r = 0; r < PANEL; r++) t[(p * m + c) * PANEL + r] = -inv[p * PANEL + r][c];
    return -1;
}

int lb_chol_inverse(lb_exec *ex, double *a, int n, double *scratch)
{
    double t[BLOCK * BLOCK];
    int ld = lb_chol_ld(n), n_panel = ld / PANEL;
    for (int i = 0; i < ld; i++) { /* identity below; beyond n a unit matrix that meets nothing */
        double *row = a + (size_t)i * (size_t)ld;
        memset(row, 0, (size_t)(i < n ? i : ld) * sizeof *row);
        if (i < n) memset(row + n, 0, (size_t)(ld - n) * sizeof *row);
        else row[i] = 1;
    }
    for (int first = 0; first < n_panel; first += BLOCK / PANEL) {
        lb_chol_step s = {.a = a, .packed = scratch, .t = t, .ld = ld, .first = first};
        s.n_panel = n_panel - first < BLOCK / PANEL ? n_panel - first : BLOCK / PANEL;
        int at = first * PANEL, bad = diagonal(a + (size_t)at * (size_t)ld + at, (size_t)ld, s.n_panel * PANEL, t);
        if (bad >= 0) return at + bad;
        lb_op_do(&lb_op_chol, &s, ex);
        s.stage = 1;
        lb_op_do(&lb_op_chol, &s, ex);
    }
    return -1;
}
