/* quant/hqq.c – HQQ: zero points and scales that fit the weights in an ℓ_p sense, p = 0.7, without data.
 *
 * Half-quadratic splitting (Badri, Shaji: "Half-Quadratic Quantization of Large Machine Learning Models", 2023): with u = w/s
 * and the codes q fixed, the error u − (q − z) is split into a sparse part e and a rest,
 *
 *     e = shrink(u − (q − z)),  shrink(x) = sign(x)·max(|x| − |x|^(p−1)/β, 0)         z = mean(q − u + e)
 *
 * in turn, β from 10 up by 1.01 each time, at most 20 times, as long as the mean absolute error falls.
 *
 * The original keeps real zero points; the formats here have whole ones in 0 … 2^bits − 1. So z is rounded both ways, and for
 * each the scale is fitted by the same splitting, s = Σ (q−z)(w − s·e) / Σ (q−z)². Two more departures: errors are taken in
 * units of the scale, so that the shrinkage means the same for any size of weights (in the original's own units a
 * threshold of |x|^−0.3/10 is above every error of a weight of 0.02, and e is 0); and of all grids on the way, round to
 * nearest's among them, the one with the least Σ |w − ŵ|^p on stored scales is kept, so it is never worse than that. */
#include "quant/grid.h"
#include "quant/method.h"

static const float P = 0.7f, BETA = 10, KAPPA = 1.01f;
enum { ITERATIONS = 20 };

static float power(float a, float by) { return a > 0 ? exp2f(by * log2f(a)) : 0; }

static float shrink(float x, float beta)
{
    float a = fabsf(x), y = a > 0 ? a - power(a, P - 1) / beta : 0;
    return y > 0 ? copysignf(y, x) : 0;
}

typedef struct group {
    const float *w;
    int n;
    float max;
    bool sym;
    lb_dtype scale_type;
    lb_grid best;
    double least;                /* its Σ |w − ŵ|^p */
} group;

/* Compares a grid, its scale rounded to the type in which it is stored, with the best so far. */
static void offer(group *g, float scale, float zero)
{
    lb_grid grid = {lb_grid_stored(scale, g->scale_type), (int)zero, (int)g->max};
    double sum = 0;
    for (int i = 0; i < g->n && sum < g->least; i++)
        sum += (double)power(fabsf(lb_grid_value(&grid, lb_grid_code(&grid, g->w[i])) - g->w[i]), P);
    if (sum < g->least) g->least = sum, g->best = grid;
}

static float code_of(const group *g, float u, float z)
{
    float q = nearbyintf(u + z);
    return q < 0 ? 0 : q > g->max ? g->max : q;
}

/* The real zero point for a scale. */
static float fit_zero(const group *g, float s, float z)
{
    double least = INFINITY;
    float beta = BETA, best = z;
    for (int it = 0; it < ITERATIONS; it++, beta *= KAPPA) {
        double err = 0, sum = 0;
        for (int i = 0; i < g->n; i++) {
            float u = g->w[i] / s, q = code_of(g, u, z), x = u - (q - z);
            err += (double)fabsf(x);
            sum += (double)(q - u + shrink(x, beta));
        }
        if (err >= least) break;
        least = err, best = z;
        z = (float)(sum / g->n);
    }
    return best;
}

/* The scale for a whole zero point; every one on the way is offered. */
static void fit_scale(group *g, float s, float z)
{
    double least = INFINITY;
    float beta = BETA;
    for (int it = 0; it < ITERATIONS; it++, beta *= KAPPA) {
        double err = 0, up = 0, down = 0;
        for (int i = 0; i < g->n; i++) {
            float u = g->w[i] / s, d = code_of(g, u, z) - z, x = u - d;
            err += (double)fabsf(x * s);
            up += (double)(d * (g->w[i] - s * shrink(x, beta)));
            down += (double)(d * d);
        }
        if (err >= least) break;
        least = err;
        offer(g, s, z);
        if (!(up > 0 && down > 0)) break;
        s = (float)(up / down);
    }
}

static lb_grid fit(group *g, int bits)
{
    g->best = lb_grid_minmax(g->w, g->n, bits, g->sym, 1, g->scale_type);
    g->least = INFINITY;
    float s = g->best.scale, z = (float)g->best.zero;
    offer(g, s, z);
    if (g->sym) {
        fit_scale(g, s, z);
        return g->best;
    }
    float real = fit_zero(g, s, z), lo = fminf(fmaxf(floorf(real), 0), g->max), hi = fminf(lo + 1, g->max);
    fit_scale(g, s, lo);
    if (hi > lo) fit_scale(g, s, hi);
    return g->best;
}

typedef struct hqq {
    const lb_quant_job *job;
    lb_qmat *out;
} hqq;

static void rows(void *arg, int r0, int r1)
{
    const lb_quant_job *j = ((hqq *)arg)->job;
    lb_qmat *q = ((hqq *)arg)->out;
    int n_group = lb_n_group(q->k, q->group);
    for (int r = r0; r < r1; r++)
        for (int i = 0; i < n_group; i++) {
            size_t at = (size_t)r * (size_t)q->k + (size_t)i * (size_t)q->group, s = (size_t)r * (size_t)n_group + (size_t)i;
            int n = q->k - i * q->group < q->group ? q->k - i * q->group : q->group;
            group g = {.w = j->w + at, .n = n, .max = (float)((1 << q->bits) - 1), .sym = j->scheme.sym, .scale_type = q->scale_type};
            lb_grid grid = fit(&g, q->bits);
            q->scales[s] = grid.scale;
            q->zeros[s] = (uint8_t)grid.zero;
            float lo = lb_grid_value(&grid, 0), hi = lb_grid_value(&grid, grid.max);
            for (int k = 0; k < n; k++) q->codes[at + (size_t)k] = (uint8_t)lb_grid_code(&grid, g.w[k]);
            for (int k = 0; j->latent && k < n; k++) j->latent[at + (size_t)k] = fminf(fmaxf(g.w[k], lo), hi);
        }
}

static bool solve(const lb_quant_job *job, lb_qmat *out, lb_err *err)
{
    (void)err;
    hqq a = {job, out};
    lb_parallel(job->ex, job->n, 8, rows, &a);
    return true;
}

const lb_method lb_method_hqq = {
    .name = "hqq",
    .paper = "Badri, Shaji 2023",
    .about = "fits zero points and scales in an l_p sense, p = 0.7; no data",
    .solve = solve,
};
