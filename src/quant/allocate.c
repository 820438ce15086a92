/* quant/allocate.c – the multiple-choice knapsack of bits. */
#include "quant/allocate.h"
#include "base/mem.h"
#include "quant/plan.h"
#include "store/ct.h"
#include "store/ct_fp4.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CELLS = 1 << 26 };

int64_t lb_scheme_bits(const lb_scheme *s, int n, int k, lb_dtype dtype)
{
    if (s->w_bits == 16) return 8 * (int64_t)lb_dtype_bytes(dtype) * n * k;
    lb_ct_scheme ct = lb_plan_ct(s, k);
    lb_ct_part part[LB_CT_MAX_PARTS];
    int64_t bytes = 0;
    int n_part = lb_ct_fp4_num(&ct) ? lb_ct_fp4_parts(&ct, n, k, part) : lb_ct_parts(&ct, n, k, dtype, part);
    for (int i = 0; i < n_part; i++) bytes += (int64_t)part[i].size_bytes;
    return 8 * bytes;
}

bool lb_module_pattern(const char *module, char out[LB_PATTERN_TEXT])
{
    size_t n = 0;
    out[n++] = '^';
    for (const char *p = module; *p; p++) {
        if (n + 4 > LB_PATTERN_TEXT) return false;
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
        if (!plain) out[n++] = '\\';
        out[n++] = *p;
    }
    out[n++] = '$';
    out[n] = 0;
    return true;
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t t = a % b;
        a = b, b = t;
    }
    return a;
}

typedef struct problem {
    const lb_alloc_layer *l;
    int n;
    int64_t *least;                  /* [n] bits of the smallest choice */
    int64_t sum_least, weights, most_extra, unit;
} problem;

static bool understand(problem *p, double target_bpw, lb_err *err)
{
    for (int i = 0; i < p->n; i++) {
        const lb_alloc_layer *l = &p->l[i];
        int64_t least = l->choice[0].bits, most = least;
        for (int c = 0; c < l->n_choice; c++) {
            const lb_choice *x = &l->choice[c];
            if (!isfinite(x->cost)) {
                char text[LB_SCHEME_TEXT];
                lb_scheme_text(&x->scheme, text);
                return lb_fail(err, LB_EUSAGE, "%s: the cost of %s is not finite", l->name, text);
            }
            if (x->bits < least) least = x->bits;
            if (x->bits > most) most = x->bits;
        }
        for (int c = 0; c < l->n_choice; c++) p->unit = gcd(l->choice[c].bits - least, p->unit);
        p->least[i] = least;
        p->sum_least += least, p->most_extra += most - least, p->weights += l->n_weight;
    }
    if ((double)p->sum_least <= target_bpw * (double)p->weights) return true;
    return lb_fail(err, LB_EUSAGE,
                   "%g bits per weight are fewer than the %.4f that the smallest choice of every layer takes with its "
                   "scales; raise the target, or allow fewer bits or larger groups",
                   target_bpw, (double)p->sum_least / (double)p->weights);
}

static int64_t units(const problem *p, int layer, int choice)
{
    int64_t extra = p->l[layer].choice[choice].bits - p->least[layer];
    return (extra + p->unit - 1) / p->unit;
}

/* best[j] is the least cost of the layers so far with at most j units more than the smallest choices; taken[i][j] which
 * choice of layer i that has. */
static void solve(const problem *p, int64_t budget, double *best, double *next, uint8_t *taken)
{
    size_t cells = (size_t)budget + 1;
    for (size_t j = 0; j < cells; j++) best[j] = 0;
    for (int i = 0; i < p->n; i++) {
        uint8_t *row = taken + (size_t)i * cells;
        for (size_t j = 0; j < cells; j++) next[j] = INFINITY;
        for (int c = 0; c < p->l[i].n_choice; c++) {
            int64_t u = units(p, i, c);
            double cost = p->l[i].choice[c].cost;
            for (int64_t j = u; j <= budget; j++) {
                double v = best[j - u] + cost;
                bool cheaper = v == next[j] && u < units(p, i, row[j]);
                if (v < next[j] || cheaper) next[j] = v, row[j] = (uint8_t)c;
            }
        }
        double *t = best;
        best = next, next = t;
    }
}

static void read_back(const problem *p, int64_t budget, const double *best, const uint8_t *taken, int *pick,
                      lb_allocation *out)
{
    int64_t j = budget, bits = 0;
    while (j > 0 && best[j - 1] <= best[budget]) j--; /* the fewest bits that cost no more */
    for (int i = p->n - 1; i >= 0; i--) {
        pick[i] = taken[(size_t)i * (size_t)(budget + 1) + (size_t)j];
        j -= units(p, i, pick[i]);
    }
    *out = (lb_allocation){0};
    for (int i = 0; i < p->n; i++) {
        bits += p->l[i].choice[pick[i]].bits;
        out->cost += p->l[i].choice[pick[i]].cost;
    }
    out->bpw = (double)bits / (double)p->weights;
}

bool lb_allocate(const lb_alloc_layer *l, int n, double target_bpw, int *pick, lb_allocation *out, lb_err *err)
{
    problem p = {.l = l, .n = n};
    if (n < 1) return lb_fail(err, LB_EUSAGE, "there are no layers to share the bits among");
    p.least = lb_alloc((size_t)n, sizeof *p.least, "the allocation", err);
    if (!p.least || !understand(&p, target_bpw, err)) {
        free(p.least);
        return false;
    }
    double room = target_bpw * (double)p.weights - (double)p.sum_least;
    int64_t extra = room < (double)p.most_extra ? (int64_t)room : p.most_extra, cells = MAX_CELLS / n;
    if (p.unit == 0) p.unit = 1; /* one size only */
    if (extra / p.unit >= cells) p.unit = extra / cells + 1;
    int64_t budget = extra / p.unit;
    double *best = lb_alloc(2 * ((size_t)budget + 1), sizeof *best, "the allocation", err);
    uint8_t *taken = lb_alloc((size_t)n * ((size_t)budget + 1), 1, "the allocation", err);
    bool ok = best && taken;
    if (ok) {
        double *other = best + budget + 1;
        solve(&p, budget, best, other, taken);
        read_back(&p, budget, n % 2 ? other : best, taken, pick, out);
    }
    free(best);
    free(taken);
    free(p.least);
    return ok;
}
