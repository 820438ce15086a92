/* test_grad.c – the tape: every operator's gradient against finite differences of its reference row, on every CPU
 * level; fake quantization against differences of the function that the straight-through estimator stands for; errors,
 * reuse of memory, the same bits for any number of threads. */
#include "guard.h"
#include "kern/kv_pack.h"
#include "kern/actquant.h"
#include "model/grad.h"
#include "num/tile.h"
#include "quant/grid.h"

enum { MOST_IN = 5 };
static const char *const ISAS[] = {"ref", "avx2", "avx512"};

static lb_exec *open_exec(const char *isa, int n_thread)
{
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.isa = isa, .n_thread = n_thread}, &err);
    assert_ok(ex, err);
    return ex;
}

static bool has_isa(const char *isa)
{
    unsigned mask;
    lb_err err = {0};
    return lb_cpu_mask(isa, &mask, &err);
}

/* ---- finite differences ---- */
typedef struct shape { int n, k; } shape;
typedef struct op_case {
    const char *name;
    shape in[MOST_IN];               /* n == 0 ends the list */
    lb_var *(*build)(lb_grad *g, lb_var *const *in);
    float spread;                    /* of the inputs; 0 means 1 */
    bool positive;                   /* the second input: away from 0 */
    float diagonal;                  /* added to that of the first input */
} op_case;

static float inv_freq[16];
static const lb_grad_heads HEADS = {.n_seq = 2, .len = 5, .n_head = 4, .n_kv = 2, .d_head = 6, .inv_freq = inv_freq,
                                    .mscale = 1.25f};
/* Documents of 4, 1 and 5 tokens. */
static const int BEGIN[] = {0, 4, 5, 10};
static const lb_grad_heads PACKED = {.n_seq = 3, .begin = BEGIN, .n_head = 4, .n_kv = 2, .d_head = 6,
                                     .inv_freq = inv_freq, .mscale = 1};
/* Two blocks of attention and a bit, one head of a width that is no multiple of a vector. */
static const lb_grad_heads LONG_HEADS = {.n_seq = 1, .len = 67, .n_head = 2, .n_kv = 1, .d_head = 3, .mscale = 1};

static lb_var *b_linear(lb_grad *g, lb_var *const *in) { return lb_grad_linear(g, in[0], in[1], in[2]); }
static lb_var *b_no_bias(lb_grad *g, lb_var *const *in) { return lb_grad_linear(g, in[0], in[1], NULL); }
static lb_var *b_twice(lb_grad *g, lb_var *const *in)
{
    return lb_grad_linear(g, lb_grad_linear(g, in[0], in[1], NULL), in[1], NULL);
}
static lb_var *b_kron(lb_grad *g, lb_var *const *in) { return lb_grad_kron(g, in[0], in[1], in[2]); }
static lb_var *b_left(lb_grad *g, lb_var *const *in) { return lb_grad_kron(g, in[0], in[1], NULL); }
static lb_var *b_right(lb_grad *g, lb_var *const *in) { return lb_grad_kron(g, in[0], NULL, in[1]); }
static lb_var *b_rows(lb_grad *g, lb_var *const *in)
{
    return lb_grad_view(g, lb_grad_kron(g, lb_grad_view(g, in[0], 2, 15), in[1], NULL), 6, 5);
}
static lb_var *b_inverse(lb_grad *g, lb_var *const *in) { return lb_grad_inverse(g, in[0], false); }
static lb_var *b_inverse_t(lb_grad *g, lb_var *const *in) { return lb_grad_inverse(g, in[0], true); }
static lb_var *b_add(lb_grad *g, lb_var *const *in) { return lb_grad_add(g, in[0], lb_grad_add(g, in[1], in[0])); }
static lb_var *b_scale(lb_grad *g, lb_var *const *in) { return lb_grad_scale(g, in[0], in[1], false); }
static lb_var *b_divide(lb_grad *g, lb_var *const *in) { return lb_grad_scale(g, in[0], in[1], true); }
static lb_var *b_swiglu(lb_grad *g, lb_var *const *in) { return lb_grad_swiglu(g, in[0], in[1]); }
static lb_var *b_rmsnorm(lb_grad *g, lb_var *const *in) { return lb_grad_rmsnorm(g, in[0], in[1], 1e-2f); }
static lb_var *b_rope(lb_grad *g, lb_var *const *in) { return lb_grad_rope(g, in[0], &HEADS); }
static lb_var *b_attn(lb_grad *g, lb_var *const *in) { return lb_grad_attn(g, in[0], in[1], in[2], &HEADS); }
static lb_var *b_long(lb_grad *g, lb_var *const *in) { return lb_grad_attn(g, in[0], in[1], in[2], &LONG_HEADS); }
static lb_var *b_packed_rope(lb_grad *g, lb_var *const *in) { return lb_grad_rope(g, in[0], &PACKED); }
static lb_var *b_packed(lb_grad *g, lb_var *const *in) { return lb_grad_attn(g, in[0], in[1], in[2], &PACKED); }
static lb_var *b_embed(lb_grad *g, lb_var *const *in)
{
    static const int ids[] = {3, 0, 3, 6, 3, 1, 0};
    return lb_grad_embed(g, in[0], ids, 7);
}
/* Logits far from ties, where the choice would jump. */
static lb_var *apart(lb_grad *g, lb_var *logits)
{
    static float by[64];
    for (int i = 0; i < logits->n * logits->k; i++) by[i] = 1.7f * (float)((i / logits->k * 3 + i % logits->k * 2) % 5);
    return lb_grad_add(g, logits, lb_grad_const(g, by, logits->n, logits->k));
}
static lb_var *b_route(lb_grad *g, lb_var *const *in)
{
    const lb_route *r = lb_grad_route(g, apart(g, in[0]), 2, false);
    return r ? r->weight : NULL;
}
static lb_var *b_route_norm(lb_grad *g, lb_var *const *in)
{
    const lb_route *r = lb_grad_route(g, apart(g, in[0]), 3, true);
    return r ? r->weight : NULL;
}
static lb_var *b_experts(lb_grad *g, lb_var *const *in) /* x, router, three experts of which two are used */
{
    const lb_route *r = lb_grad_route(g, apart(g, lb_grad_linear(g, in[0], in[1], NULL)), 2, true);
    return lb_grad_collect(g, lb_grad_expert_linear(g, lb_grad_dispatch(g, in[0], r), in + 2, r), r);
}
static lb_var *b_mse(lb_grad *g, lb_var *const *in) { return lb_grad_mse(g, in[0], lb_grad_detach(g, in[1])); }

static const op_case CASES[] = {
    {.name = "linear", .in = {{5, 7}, {9, 7}, {1, 9}}, .build = b_linear},
    {.name = "linear without bias", .in = {{17, 33}, {19, 33}}, .build = b_no_bias},
    {.name = "a weight used twice", .in = {{3, 6}, {6, 6}}, .build = b_twice},
    {.name = "kron", .in = {{4, 15}, {3, 3}, {5, 5}}, .build = b_kron},
    {.name = "kron from the left", .in = {{3, 12}, {4, 4}}, .build = b_left},
    {.name = "kron from the right", .in = {{3, 12}, {6, 6}}, .build = b_right},
    {.name = "kron of rows", .in = {{6, 5}, {3, 3}}, .build = b_rows},
    {.name = "inverse", .in = {{5, 5}}, .build = b_inverse, .diagonal = 3},
    {.name = "inverse, transposed", .in = {{6, 6}}, .build = b_inverse_t, .diagonal = -3},
    {.name = "add", .in = {{3, 5}, {3, 5}}, .build = b_add},
    {.name = "scale", .in = {{4, 6}, {1, 3}}, .build = b_scale},
    {.name = "divide", .in = {{4, 6}, {1, 6}}, .build = b_divide, .positive = true},
    {.name = "swiglu", .in = {{3, 19}, {3, 19}}, .build = b_swiglu, .spread = 2},
    {.name = "rmsnorm", .in = {{4, 18}, {1, 18}}, .build = b_rmsnorm},
    {.name = "rmsnorm of heads", .in = {{4, 18}, {1, 6}}, .build = b_rmsnorm},
    {.name = "rope", .in = {{10, 12}}, .build = b_rope},
    {.name = "attention", .in = {{10, 24}, {10, 12}, {10, 12}}, .build = b_attn, .spread = 1.5f},
    {.name = "attention over blocks", .in = {{67, 6}, {67, 3}, {67, 3}}, .build = b_long},
    {.name = "rope of documents", .in = {{10, 12}}, .build = b_packed_rope},
    {.name = "attention of documents", .in = {{10, 24}, {10, 12}, {10, 12}}, .build = b_packed, .spread = 1.5f},
    {.name = "embedding", .in = {{7, 70}}, .build = b_embed},
    {.name = "router", .in = {{9, 5}}, .build = b_route, .spread = 0.3f},
    {.name = "router, normed", .in = {{9, 5}}, .build = b_route_norm, .spread = 0.3f},
    {.name = "experts", .in = {{9, 8}, {3, 8}, {5, 8}, {5, 8}, {5, 8}}, .build = b_experts, .spread = 0.4f},
    {.name = "mse", .in = {{3, 7}, {3, 7}}, .build = b_mse},
};

/* Σ weight·y in double. */
static double value_of(lb_grad *g, const op_case *c, lb_param *p, const float *weight)
{
    lb_var *in[MOST_IN] = {0};
    lb_err err = {0};
    lb_grad_reset(g);
    for (int i = 0; i < MOST_IN && c->in[i].n; i++) in[i] = lb_grad_const(g, p[i].v, p[i].n, p[i].k);
    lb_var *y = c->build(g, in);
    assert_ok(lb_grad_ok(g, &err), err);
    double sum = 0;
    for (int i = 0; i < y->n * y->k; i++) sum += (double)weight[i] * (double)y->v[i];
    return sum;
}

static void gradients(lb_exec *ex, const op_case *c, lb_param *p, const float *weight)
{
    lb_err err = {0};
    lb_grad *g = lb_grad_open(ex, 0, &err);
    assert_ok(g, err);
    lb_var *in[MOST_IN] = {0};
    for (int i = 0; i < MOST_IN && c->in[i].n; i++) in[i] = lb_grad_param(g, &p[i]);
    lb_var *y = c->build(g, in);
    assert_ok(lb_grad_ok(g, &err), err);
    int n = y->n * y->k;
    lb_var *loss = lb_grad_linear(g, lb_grad_view(g, y, 1, n), lb_grad_const(g, weight, 1, n), NULL);
    assert_ok(lb_grad_backward(g, loss, &err), err);
    lb_grad_close(g);
}

static void check_case(const op_case *c, lb_exec *ex, lb_exec *ref)
{
    lb_err err = {0};
    lb_param p[MOST_IN] = {0};
    lb_grad *g = lb_grad_open(ref, 0, &err);
    assert_ok(g, err);
    float *weight = randoms(4096, 77), spread = c->spread != 0 ? c->spread : 1;
    for (int i = 0; i < MOST_IN && c->in[i].n; i++) {
        assert_ok(lb_param_init(&p[i], ref, c->in[i].n, c->in[i].k, "test", &err), err);
        float *x = randoms((size_t)(p[i].n * p[i].k), (uint64_t)i + 5);
        for (int j = 0; j < p[i].n * p[i].k; j++) p[i].v[j] = x[j] * spread;
        if (c->positive && i == 1)
            for (int j = 0; j < p[i].n * p[i].k; j++) p[i].v[j] = 0.7f + fabsf(p[i].v[j]);
        for (int j = 0; i == 0 && c->diagonal != 0 && j < p[i].n; j++) p[i].v[j * p[i].k + j] += c->diagonal;
        free(x);
    }
    gradients(ex, c, p, weight);
    for (int i = 0; i < MOST_IN && c->in[i].n; i++) {
        double most = 0;
        int n = p[i].n * p[i].k;
        for (int j = 0; j < n; j++) most = fmax(most, fabs((double)p[i].d[j]));
        if (i == 1 && c->build == b_mse) continue; /* the target gets none */
        if (!(most > 1e-3)) fail_msg("%s: input %d gets no gradient", c->name, i);
        for (int j = 0; j < n; j++) {
            const float h = 0x1p-7f, x = p[i].v[j];
            p[i].v[j] = x + h;
            double up = value_of(g, c, p, weight), from = (double)p[i].v[j];
            p[i].v[j] = x - h;
            double down = value_of(g, c, p, weight), d = (up - down) / (from - (double)p[i].v[j]);
            p[i].v[j] = x;
            if (!(fabs(d - (double)p[i].d[j]) <= 1.5e-3 * most + 1e-4))
                fail_msg("%s on %s: input %d [%d]: gradient %.7g, difference %.7g", c->name, lb_exec_name(ex), i, j,
                         (double)p[i].d[j], d);
        }
    }
    for (int i = 0; i < MOST_IN; i++) lb_param_free(&p[i], ref);
    free(weight);
    lb_grad_close(g);
}

static void finite_differences(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) inv_freq[i] = powf(100, -(float)i / 3);
    lb_exec *ref = open_exec("ref", 1);
    for (size_t l = 0; l < sizeof ISAS / sizeof *ISAS; l++) {
        if (!has_isa(ISAS[l])) continue;
        lb_exec *ex = open_exec(ISAS[l], 2);
        for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) check_case(&CASES[i], ex, ref);
        lb_exec_close(ex);
    }
    lb_exec_close(ref);
}

/* ---- the straight-through estimator ---- */
/* y of one number as a function of x, the extremes of its group, the factors and the offset, with what rounding and
 * clamping did at the point frozen: round(t) = t + (round(t₀) − t₀), and a code at an end of the range moves if it was
 * inside. Its derivative is what backward must give. */
typedef struct ste {
    int kind, bits;                  /* kind: 0 activations, 1 asymmetric, 2 symmetric weights, 3 the balanced grid */
    double r_off, z_off;             /* frozen */
    int side;                        /* frozen: −1, 1 clamped, 0 not */
} ste;

static double ste_scale(const ste *s, double top, double bottom, double f_hi, double f_lo, double *z)
{
    double hi = f_hi * top, lo = f_lo * bottom, max = (1 << s->bits) - 1;
    if (s->kind == 2) {
        *z = 1 << (s->bits - 1);
        return fmax(hi, -lo) / (*z - 1);
    }
    if (s->kind == 3) {
        *z = 1.5;
        return fmax(hi, -lo) / 2;
    }
    double scale = (hi - lo) / max;
    *z = -lo / scale + s->z_off;
    return scale;
}

static double ste_value(const ste *s, double x, double v, double top, double bottom, double f_hi, double f_lo)
{
    double z, scale = ste_scale(s, top, bottom, f_hi, f_lo, &z), max = (1 << s->bits) - 1;
    double q = s->side < 0 ? 0 : s->side > 0 ? max : x / scale + v + s->r_off + z;
    return scale * (q - z);
}

enum { LEN = 12, GROUPS = 5, COUNT = LEN * GROUPS };
typedef struct ste_case {
    ste s;
    bool offset;                     /* SignRound: v, and factors that are no sigmoids */
} ste_case;

static double sigma(double c) { return 1 / (1 + exp(-c)); }

/* Σ w·y of all groups in double; frozen, side: filled if freeze. */
static double ste_sum(const ste_case *c, const double *x, const double *v, const double *hi, const double *lo,
                      const float *w, double *frozen, int *side, bool freeze)
{
    double sum = 0;
    for (int g = 0; g < GROUPS; g++) {
        double top = 0, bottom = 0, z;
        for (int i = 0; i < LEN; i++) top = fmax(top, x[g * LEN + i]), bottom = fmin(bottom, x[g * LEN + i]);
        double f_hi = c->offset ? hi[g] : sigma(hi[g]), f_lo = c->offset ? lo[g] : sigma(lo[g]);
        double *z_off = &frozen[COUNT + g];
        if (freeze) {
            ste s = c->s;
            s.z_off = 0;
            ste_scale(&s, top, bottom, f_hi, f_lo, &z);
            *z_off = c->s.kind == 3 ? 0 : nearbyint(z) - z;
        }
        for (int i = g * LEN; i < (g + 1) * LEN; i++) {
            ste s = c->s;
            s.z_off = *z_off;
            if (freeze) {
                double t = x[i] / ste_scale(&s, top, bottom, f_hi, f_lo, &z) + v[i];
                double r = c->s.kind == 3 ? nearbyint(t - 0.5) + 0.5 : nearbyint(t);
                double q = r + (c->s.kind == 3 ? z : nearbyint(z));
                frozen[i] = r - t;
                side[i] = q < 0 ? -1 : q > (1 << s.bits) - 1;
                if (c->s.kind == 3) side[i] = t > 1.98 ? 1 : t < -1.98 ? -1 : 0;
            }
            s.r_off = frozen[i], s.side = side[i];
            sum += (double)w[i] * ste_value(&s, x[i], v[i], top, bottom, f_hi, f_lo);
        }
    }
    return sum;
}

static lb_var *ste_build(lb_grad *g, const ste_case *c, lb_param *p)
{
    lb_var *x = lb_grad_param(g, &p[0]), *hi = lb_grad_param(g, &p[2]), *lo = lb_grad_param(g, &p[3]);
    if (c->s.kind == 0)
        return lb_grad_act_fq(g, x, &(lb_act_fq){.bits = c->s.bits, .len = LEN, .c_hi = hi, .c_lo = lo});
    if (!c->offset)
        return lb_grad_weight_fq(g, x, &(lb_weight_fq){.bits = c->s.bits, .group = LEN, .sym = c->s.kind == 2, .half = c->s.kind == 3,
                                                       .c_hi = hi, .c_lo = lo});
    return lb_grad_signround(g, x, &(lb_signround){.bits = c->s.bits, .group = LEN, .sym = c->s.kind == 2,
                                                   .v = lb_grad_param(g, &p[1]), .a = hi, .b = lo});
}

static void check_ste(lb_exec *ex, const ste_case *c, uint64_t seed)
{
    lb_err err = {0};
    lb_param p[4];
    const int counts[4] = {COUNT, COUNT, GROUPS, GROUPS};
    double in[4][COUNT], frozen[COUNT + GROUPS];
    int side[COUNT];
    float *w = randoms(COUNT, seed + 9);
    for (int i = 0; i < 4; i++) {
        assert_ok(lb_param_init(&p[i], ex, i < 2 ? GROUPS : 1, counts[i] / (i < 2 ? GROUPS : 1), "test", &err), err);
        float *r = randoms((size_t)counts[i], seed + (uint64_t)i);
        for (int j = 0; j < counts[i]; j++) {
            float f = i == 0 ? r[j] : i == 1 ? 0.4f * sinf(3 * r[j]) : c->offset ? 0.75f + 0.2f * sinf(3 * r[j]) : r[j];
            if (i == 0 && j < LEN) f = fabsf(f) + 0.01f;         /* a group of one sign */
            if (i == 1 && !c->offset) f = 0;
            p[i].v[j] = f;
            in[i][j] = (double)f;
        }
        free(r);
    }
    lb_grad *g = lb_grad_open(ex, 0, &err);
    assert_ok(g, err);
    lb_var *y = ste_build(g, c, p), *flat = lb_grad_view(g, y, 1, COUNT);
    lb_var *loss = lb_grad_linear(g, flat, lb_grad_const(g, w, 1, COUNT), NULL);
    assert_ok(lb_grad_ok(g, &err), err);
    double base = ste_sum(c, in[0], in[1], in[2], in[3], w, frozen, side, true);
    if (fabs(base - (double)lb_grad_scalar(g, loss)) > 1e-4 * (1 + fabs(base)))
        fail_msg("kind %d, %d bits: forward %.7g, wanted %.7g", c->s.kind, c->s.bits, (double)lb_grad_scalar(g, loss),
                 base);
    assert_ok(lb_grad_backward(g, loss, &err), err);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < counts[i] && (i != 1 || c->offset); j++) {
            const double h = 1e-7, x = in[i][j];
            in[i][j] = x + h;
            double up = ste_sum(c, in[0], in[1], in[2], in[3], w, frozen, side, false);
            in[i][j] = x - h;
            double d = (up - ste_sum(c, in[0], in[1], in[2], in[3], w, frozen, side, false)) / (2 * h);
            in[i][j] = x;
            if (!(fabs(d - (double)p[i].d[j]) <= 2e-4 * (1 + fabs(d))))
                fail_msg("kind %d, %d bits on %s: input %d [%d]: gradient %.7g, difference %.7g", c->s.kind, c->s.bits,
                         lb_exec_name(ex), i, j, (double)p[i].d[j], d);
        }
    for (int i = 0; i < 4; i++) lb_param_free(&p[i], ex);
    lb_grad_close(g);
    free(w);
}

static void straight_through(void **state)
{
    (void)state;
    static const ste_case cases[] = {
        {{.kind = 0, .bits = 4}, false}, {{.kind = 0, .bits = 8}, false}, {{.kind = 1, .bits = 3}, false},
        {{.kind = 2, .bits = 4}, false}, {{.kind = 2, .bits = 2}, false}, {{.kind = 1, .bits = 2}, true},
        {{.kind = 1, .bits = 4}, true},  {{.kind = 2, .bits = 3}, true},  {{.kind = 3, .bits = 2}, false},
    };
    for (size_t l = 0; l < sizeof ISAS / sizeof *ISAS; l++) {
        if (!has_isa(ISAS[l])) continue;
        lb_exec *ex = open_exec(ISAS[l], 1);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (uint64_t seed = 0; seed < 8; seed++) check_ste(ex, &cases[i], 100 * seed);
        lb_exec_close(ex);
    }
}

/* Weights are rounded as the quantizer rounds them, factors are found per group or shared, constant clips work. */
static void fake_quant_agrees(void **state)
{
    (void)state;
    enum { N = 6, K = 64 };
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 2);
    lb_grad *g = lb_grad_open(ex, 0, &err);
    float *w = randoms(N * K, 3);
    for (int bits = 2; bits <= 8; bits++)
        for (int t = 0; t < 12; t++) {
            int group = t % 4 == 0 ? K : 16;
            lb_dtype type = t % 3 == 0 ? LB_F32 : t % 3 == 1 ? LB_BF16 : LB_F16;
            bool sym = t >= 6;
            lb_grad_reset(g);
            lb_weight_fq q = {.bits = bits, .group = t % 4 == 0 ? 0 : group, .sym = sym, .scale_type = type};
            lb_var *y = lb_grad_weight_fq(g, lb_grad_const(g, w, N, K), &q);
            assert_ok(lb_grad_ok(g, &err), err);
            for (int i = 0; i < N * K; i += group) {
                lb_grid grid = lb_grid_minmax(w + i, group, bits, sym, 1, type);
                for (int j = i; j < i + group; j++) {
                    float want = lb_grid_value(&grid, lb_grid_code(&grid, w[j]));
                    if (y->v[j] != want)
                        fail_msg("%d bits [%d] = %.9g, wanted %.9g", bits, j, (double)y->v[j], (double)want);
                }
            }
        }
    for (int t = 0; t < 6; t++) { /* the balanced grid: its range, and given scales */
        int group = t < 3 ? K : 16;
        lb_dtype type = t % 3 == 0 ? LB_F32 : t % 3 == 1 ? LB_BF16 : LB_F16;
        float scales[N * K / 16];
        for (int i = 0; i < N * K / group; i++) scales[i] = lb_half_scale(w + i * group, group, 1, type);
        lb_grad_reset(g);
        lb_weight_fq q = {.bits = 2, .group = t < 3 ? 0 : group, .half = true, .scale_type = type};
        lb_var *y = lb_grad_weight_fq(g, lb_grad_const(g, w, N, K), &q);
        lb_weight_grid given = {.bits = 2, .group = t < 3 ? 0 : group, .half = true, .scale_type = type};
        given.scale = lb_grad_const(g, scales, N, K / group);
        lb_var *z = lb_grad_weight_grid(g, lb_grad_const(g, w, N, K), &given);
        assert_ok(lb_grad_ok(g, &err), err);
        for (int j = 0; j < N * K; j++) {
            float s = scales[j / group], want = lb_int_value(s, lb_half_code(s, w[j]), LB_HALF_ZERO, true);
            if (y->v[j] != want || z->v[j] != want)
                fail_msg("balanced [%d] = %.9g and %.9g, wanted %.9g", j, (double)y->v[j], (double)z->v[j], (double)want);
        }
    }
    lb_grad_reset(g);
    assert_null(lb_grad_weight_fq(g, lb_grad_const(g, w, N, K), &(lb_weight_fq){.bits = 3, .half = true, .scale_type = LB_F32}));
    assert_false(lb_grad_ok(g, &err));
    assert_non_null(strstr(err.msg, "2 bits, not 3"));
    /* activations are what the integer kernels multiply */
    for (int t = 0; t < 8; t++) {
        lb_act_quant q = {.kind = LB_ACT_INT, .bits = t & 1 ? 8 : 4, .clip_hi = t & 2 ? 0.9f : 0,
                          .clip_lo = t & 4 ? 0.7f : 0};
        float x[N * K], want[K];
        for (int i = 0; i < N * K; i++) /* rows of zeros, of vanishing numbers, of one sign */
            x[i] = i < K ? 0 : i < 2 * K ? 1e-45f * (float)(i % 3) : i < 3 * K ? fabsf(w[i]) : w[i];
        lb_grad_reset(g);
        lb_var *y = lb_grad_act_fq(g, lb_grad_const(g, x, N, K), &(lb_act_fq){.bits = q.bits, .clip_hi = q.clip_hi,
                                                                              .clip_lo = q.clip_lo});
        assert_ok(lb_grad_ok(g, &err), err);
        for (int r = 0; r < N; r++) {
            lb_act_fake_quant(&q, x + r * K, K, want);
            for (int j = 0; j < K; j++)
                if (y->v[r * K + j] != want[j])
                    fail_msg("%d bits, row %d [%d] = %.9g, wanted %.9g", q.bits, r, j, (double)y->v[r * K + j],
                             (double)want[j]);
        }
    }
    /* keys and values are what the packed cache holds */
    for (int t = 0; t < 8; t++) {
        int bits = t & 1 ? 8 : 2 + t % 3;
        float clip = t & 2 ? 0.95f : 1, x[N * K];
        for (int i = 0; i < N * K; i++) x[i] = i < K ? 0 : i < 2 * K ? 1e-9f * (float)(i % 3) : i < 3 * K ? 3e4f * w[i] : w[i];
        lb_grad_reset(g);
        lb_var *y = lb_grad_act_fq(g, lb_grad_const(g, x, N, K), &(lb_act_fq){.bits = bits, .kv = true, .clip_hi = clip, .clip_lo = clip});
        assert_ok(lb_grad_ok(g, &err), err);
        for (int r = 0; r < N; r++) {
            float lo = 0, hi = 0, most = (float)((1 << bits) - 1);
            for (int j = 0; j < K; j++) lo = fminf(lo, x[r * K + j]), hi = fmaxf(hi, x[r * K + j]);
            uint16_t s;
            uint8_t z;
            lb_kv_token_scale(bits, lo * clip, hi * clip, &s, &z);
            for (int j = 0; j < K; j++) {
                float code = rintf(x[r * K + j] / lb_from_f16(s)) + (float)z;
                float want = lb_from_f16(s) * ((code < 0 ? 0 : code > most ? most : code) - (float)z);
                if (y->v[r * K + j] != want) fail_msg("kv%d, row %d [%d] = %.9g, wanted %.9g", bits, r, j, (double)y->v[r * K + j], (double)want);
            }
        }
    }
    /* row i uses factor i mod 3 */
    float c[3] = {30, 0, -0.5f};
    lb_var *clip = lb_grad_const(g, c, 1, 3);
    lb_var *y = lb_grad_act_fq(g, lb_grad_const(g, w, N, K), &(lb_act_fq){.bits = 4, .c_hi = clip, .c_lo = clip});
    for (int r = 0; r < N; r++) {
        float f = 1 / (1 + expf(-c[r % 3]));
        lb_act_fq q = {.bits = 4, .clip_hi = f, .clip_lo = f};
        lb_var *one = lb_grad_act_fq(g, lb_grad_const(g, w + r * K, 1, K), &q);
        assert_ok(lb_grad_ok(g, &err), err);
        for (int j = 0; j < K; j++) assert_true(fabsf(one->v[j] - y->v[r * K + j]) <= 1e-6f);
    }
    free(w);
    lb_grad_close(g);
    lb_exec_close(ex);
}

/* A grid that is given: codes by hand, and the gradients of weights, scales and zero points by their formulas. */
static void given_grids(void **state)
{
    (void)state;
    enum { N = 4, K = 32, G = 16, M = N * K / G };
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 1);
    lb_grad *g = lb_grad_open(ex, 0, &err);
    float *x = randoms(N * K, 8), *dy = randoms(N * K, 9);
    lb_param w = {0}, s = {0}, z = {0};
    assert_ok(lb_param_init(&w, ex, N, K, "w", &err) && lb_param_init(&s, ex, N, K / G, "s", &err) && lb_param_init(&z, ex, N, K / G, "z", &err), err);
    memcpy(w.v, x, N * K * sizeof *x);
    for (int i = 0; i < M; i++) s.v[i] = 0.3f + 0.07f * (float)i, z.v[i] = (float)(i % 4);
    lb_weight_grid q = {.bits = 2, .group = G, .scale_type = LB_BF16, .scale = lb_grad_param(g, &s), .zero = lb_grad_param(g, &z)};
    lb_var *y = lb_grad_weight_grid(g, lb_grad_param(g, &w), &q);
    assert_ok(lb_grad_ok(g, &err) && lb_grad_backward_from(g, y, dy, &err), err);
    for (int i = 0; i < M; i++) {
        float scale = lb_from_bf16(lb_to_bf16(s.v[i]));
        double ds = 0, dz = 0;
        for (int j = i * G; j < (i + 1) * G; j++) {
            float r = nearbyintf(x[j] / scale), code = r + z.v[i], in = code < 0 ? 0 : code > 3 ? 3 : code;
            assert_true(y->v[j] == scale * (in - z.v[i]));
            assert_true(w.d[j] == (code == in ? dy[j] : 0));
            ds += (double)dy[j] * (code == in ? (double)r - (double)(x[j] / scale) : (double)(in - z.v[i]));
            dz -= code == in ? 0 : (double)scale * (double)dy[j];
        }
        assert_true(fabs((double)s.d[i] - ds) <= 1e-4 * (1 + fabs(ds)));
        assert_true(fabs((double)z.d[i] - dz) <= 1e-4 * (1 + fabs(dz)));
    }
    lb_param_free(&w, ex), lb_param_free(&s, ex), lb_param_free(&z, ex);
    free(x), free(dy);
    lb_grad_close(g);
    lb_exec_close(ex);
}

/* ---- documents ---- */
/* Attention and RoPE of documents one after another give the bits that each gives alone, forward and backward. */
static void packed_is_separate(void **state)
{
    (void)state;
    enum { N_DOC = 5, HEADS_Q = 6, HEADS_KV = 3, D = 20, Q = HEADS_Q * D, KV = HEADS_KV * D };
    static const int begin[N_DOC + 1] = {0, 1, 66, 130, 137, 300};
    const int n = begin[N_DOC];
    lb_err err = {0};
    for (size_t l = 0; l < sizeof ISAS / sizeof *ISAS; l++) {
        if (!has_isa(ISAS[l])) continue;
        lb_exec *ex = open_exec(ISAS[l], 2);
        lb_param p[3];
        const int width[3] = {Q, KV, KV};
        float *w = randoms((size_t)(n * Q), 8), *y = malloc((size_t)(n * Q) * 4), *d[3];
        for (int i = 0; i < 3; i++) {
            float *x = randoms((size_t)(n * width[i]), 20 + (uint64_t)i);
            assert_ok(lb_param_init(&p[i], ex, n, width[i], "test", &err), err);
            memcpy(p[i].v, x, (size_t)(n * width[i]) * 4);
            d[i] = malloc((size_t)(n * width[i]) * 4);
            free(x);
        }
        lb_grad *g = lb_grad_open(ex, 0, &err);
        assert_ok(g, err);
        for (int s = -1; s < N_DOC; s++) { /* all together, then one by one */
            int t0 = s < 0 ? 0 : begin[s], len = s < 0 ? n : begin[s + 1] - t0;
            lb_grad_heads h = {.n_seq = s < 0 ? N_DOC : 1, .len = len, .begin = s < 0 ? begin : NULL, .n_head = HEADS_Q,
                               .n_kv = HEADS_KV, .d_head = D, .inv_freq = inv_freq, .mscale = 1};
            lb_param part[3];
            lb_var *in[3];
            lb_grad_reset(g);
            for (int i = 0; i < 3; i++) {
                size_t at = (size_t)(t0 * width[i]);
                part[i] = (lb_param){p[i].v + at, p[i].d + at, len, width[i]};
                memset(part[i].d, 0, (size_t)(len * width[i]) * 4);
                in[i] = lb_grad_param(g, &part[i]);
                if (i < 2) in[i] = lb_grad_rope(g, in[i], &h);
            }
            lb_var *out = lb_grad_attn(g, in[0], in[1], in[2], &h);
            assert_ok(lb_grad_backward_from(g, out, w + (size_t)(t0 * Q), &err), err);
            if (s < 0) memcpy(y, out->v, (size_t)(n * Q) * 4);
            else assert_memory_equal(y + (size_t)(t0 * Q), out->v, (size_t)(len * Q) * 4);
            for (int i = 0; i < 3; i++) {
                size_t at = (size_t)(t0 * width[i]), bytes = (size_t)(len * width[i]) * 4;
                if (s < 0) memcpy(d[i], p[i].d, bytes);
                else assert_memory_equal(d[i] + at, part[i].d, bytes);
            }
        }
        for (int i = 0; i < 3; i++) lb_param_free(&p[i], ex), free(d[i]);
        lb_grad_close(g);
        free(w), free(y);
        lb_exec_close(ex);
    }
}

/* An expert that nobody chose, and tokens in order within each; the weights are those of the model's forward pass. */
static void experts_get_their_tokens(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 1);
    lb_grad *g = lb_grad_open(ex, 0, &err);
    static const float x[3 * 4] = {1, 0, 2, -9, 3, 3, 1, -9, 0, 1, 0, -9}; /* ties: the lower number */
    const lb_route *r = lb_grad_route(g, lb_grad_const(g, x, 3, 4), 2, true);
    assert_ok(lb_grad_ok(g, &err), err);
    static const int begin[] = {0, 3, 5, 6, 6}, token[] = {0, 1, 2, 1, 2, 0}, slot[] = {0, 5, 1, 3, 2, 4};
    assert_memory_equal(r->begin, begin, sizeof begin);
    assert_memory_equal(r->token, token, sizeof token);
    assert_memory_equal(r->slot, slot, sizeof slot);
    const double e = exp(1), want[] = {1 / (1 + e), 0.5, 1 / (1 + e), 0.5, e / (1 + e), e / (1 + e)};
    for (int i = 0; i < 6; i++) assert_true(fabs((double)r->weight->v[i] - want[i]) <= 1e-7);
    lb_grad_close(g);
    lb_exec_close(ex);
}

/* ---- the tape itself ---- */
static lb_var *small_net(lb_grad *g, lb_param *w, lb_param *v, const float *x, int n)
{
    lb_var *h = lb_grad_linear(g, lb_grad_const(g, x, n, 96), lb_grad_param(g, w), NULL);
    h = lb_grad_swiglu(g, h, lb_grad_rmsnorm(g, h, lb_grad_param(g, v), 1e-5f));
    h = lb_grad_act_fq(g, h, &(lb_act_fq){.bits = 6});
    h = lb_grad_kron(g, h, lb_grad_inverse(g, lb_grad_param(g, w + 1), true), NULL);
    return lb_grad_normalize(g, lb_grad_mse(g, h, lb_grad_const(g, x, n, 120)));
}

/* Gradients after one step, in a new array. */
static float *net_gradients(int n_thread, int rows, size_t *n)
{
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, n_thread);
    lb_grad *g = lb_grad_open(ex, 0, &err);
    lb_param w[2], v;
    float *x = randoms((size_t)rows * 120, 1), *r = randoms(120 * 96, 2);
    assert_ok(lb_param_init(&w[0], ex, 120, 96, "w", &err) && lb_param_init(&w[1], ex, 12, 12, "p", &err) &&
              lb_param_init(&v, ex, 1, 120, "v", &err), err);
    memcpy(w[0].v, r, 120 * 96 * 4);
    for (int i = 0; i < 144; i++) w[1].v[i] = r[i] + (i % 13 == 0 ? 5.0f : 0);
    for (int i = 0; i < 120; i++) v.v[i] = 1 + 0.1f * r[i];
    assert_ok(lb_grad_backward(g, small_net(g, w, &v, x, rows), &err), err);
    *n = 120 * 96 + 144 + 120;
    float *d = malloc(*n * 4);
    memcpy(d, w[0].d, 120 * 96 * 4);
    memcpy(d + 120 * 96, w[1].d, 144 * 4);
    memcpy(d + 120 * 96 + 144, v.d, 120 * 4);
    lb_param_free(&w[0], ex), lb_param_free(&w[1], ex), lb_param_free(&v, ex);
    free(x), free(r);
    lb_grad_close(g);
    lb_exec_close(ex);
    return d;
}

static void any_number_of_threads(void **state)
{
    (void)state;
    size_t n;
    float *one = net_gradients(1, 301, &n);
    for (int t = 2; t <= 3; t++) {
        float *d = net_gradients(t, 301, &n);
        assert_memory_equal(one, d, n * 4);
        free(d);
    }
    free(one);
}

static void memory_is_used_again(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 1);
    lb_grad *g = lb_grad_open(ex, 0, &err);
    lb_param w[2], v;
    float *x = randoms(200 * 120, 1), first[120 * 96];
    assert_ok(lb_param_init(&w[0], ex, 120, 96, "w", &err) && lb_param_init(&w[1], ex, 12, 12, "p", &err) &&
              lb_param_init(&v, ex, 1, 120, "v", &err), err);
    for (int i = 0; i < 120 * 96; i++) w[0].v[i] = x[i];
    for (int i = 0; i < 144; i++) w[1].v[i] = i % 13 == 0;
    for (int i = 0; i < 120; i++) v.v[i] = 1;
    size_t bytes = 0;
    for (int step = 0; step < 5; step++) {
        assert_ok(lb_grad_backward(g, small_net(g, w, &v, x, step == 3 ? 60 : 200), &err), err);
        if (step == 0) memcpy(first, w[0].d, sizeof first), bytes = lb_grad_bytes(g);
        else if (step != 3) assert_memory_equal(first, w[0].d, sizeof first);
        assert_true(lb_grad_bytes(g) <= bytes);
        for (int i = 0; i < 2; i++) memset(w[i].d, 0, (size_t)(w[i].n * w[i].k) * 4);
        lb_grad_reset(g);
    }
    /* gradients of a second pass are added */
    assert_ok(lb_grad_backward(g, small_net(g, w, &v, x, 200), &err), err);
    lb_grad_reset(g);
    assert_ok(lb_grad_backward(g, small_net(g, w, &v, x, 200), &err), err);
    for (int i = 0; i < 120 * 96; i++) assert_true(fabsf(w[0].d[i] - 2 * first[i]) <= 1e-5f * fabsf(first[i]) + 1e-7f);
    lb_grad_close(g);
    /* a limit is an error that says so, and the tape can be used again */
    g = lb_grad_open(ex, 300 << 10, &err);
    assert_false(lb_grad_backward(g, small_net(g, w, &v, x, 200), &err));
    assert_int_equal(err.code, LB_ENOMEM);
    assert_non_null(strstr(err.msg, "fewer or shorter"));
    lb_grad_reset(g);
    assert_ok(lb_grad_backward(g, small_net(g, w, &v, x, 20), &err), err);
    assert_true(lb_grad_bytes(g) <= 300 << 10);
    lb_grad_close(g);
    lb_param_free(&w[0], ex), lb_param_free(&w[1], ex), lb_param_free(&v, ex);
    free(x);
    lb_exec_close(ex);
}

static void mistakes_are_errors(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 1);
    lb_grad *g = lb_grad_open(ex, 0, &err);
    static const float x[64] = {1, 2};
    const lb_grad_heads h = {.n_seq = 2, .len = 2, .n_head = 3, .n_kv = 2, .d_head = 2, .mscale = 1};
    static const int ids[] = {1, 2, 4}, holes[] = {0, 2, 2, 4}, short_of[] = {0, 1, 3};
    for (int i = 0; i < 18; i++) {
        lb_grad_reset(g);
        lb_var *a = lb_grad_const(g, x, 4, 6), *b = lb_grad_const(g, x, 3, 5), *s = lb_grad_const(g, x, 4, 4), *y = a;
        switch (i) {
        case 0: y = lb_grad_linear(g, a, b, NULL); break;
        case 1: y = lb_grad_add(g, a, b); break;
        case 2: y = lb_grad_kron(g, a, s, NULL); break;
        case 3: y = lb_grad_kron(g, a, b, NULL); break;
        case 4: y = lb_grad_inverse(g, b, false); break;
        case 5: y = lb_grad_inverse(g, s, false); break;
        case 6: y = lb_grad_view(g, a, 5, 5); break;
        case 7: y = lb_grad_attn(g, a, s, s, &h); break;
        case 8: y = lb_grad_act_fq(g, a, &(lb_act_fq){.bits = 1}); break;
        case 9: y = lb_grad_weight_fq(g, a, &(lb_weight_fq){.bits = 4, .group = 4}); break;
        case 10: y = lb_grad_signround(g, a, &(lb_signround){.bits = 4, .v = s}); break;
        case 11: y = lb_grad_rmsnorm(g, a, s, 1e-6f); break;
        case 12: y = lb_grad_embed(g, a, ids, 3); break;
        case 13: y = lb_grad_rope(g, a, &(lb_grad_heads){.n_seq = 3, .begin = holes, .d_head = 2, .mscale = 1}); break;
        case 14: y = lb_grad_rope(g, a, &(lb_grad_heads){.n_seq = 2, .begin = short_of, .d_head = 2, .mscale = 1}); break;
        case 15: y = lb_grad_route(g, a, 7, true) ? a : NULL; break;
        case 16: y = lb_grad_dispatch(g, b, lb_grad_route(g, a, 2, true)); break;
        case 17: /* experts of another width than the rows */
            y = lb_grad_expert_linear(g, s, (lb_var *[]){a, a}, lb_grad_route(g, lb_grad_const(g, x, 2, 2), 2, true));
            break;
        }
        assert_null(y);
        assert_null(lb_grad_add(g, y, a));
        err = (lb_err){0};
        if (lb_grad_ok(g, &err)) fail_msg("mistake %d was not noticed", i);
        assert_int_equal(err.code, i == 5 ? LB_ENUMERIC : LB_EUSAGE);
        lb_err again = {0};
        assert_false(lb_grad_backward(g, y, &again));
        assert_string_equal(err.msg, again.msg);
    }
    lb_grad_reset(g);
    lb_var *a = lb_grad_const(g, x, 4, 6);
    assert_false(lb_grad_backward(g, lb_grad_mse(g, a, a), &err)); /* nothing to train */
    assert_true(isnan(lb_grad_scalar(g, NULL)));
    lb_grad_close(g);
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finite_differences), cmocka_unit_test(straight_through), cmocka_unit_test(fake_quant_agrees), cmocka_unit_test(given_grids),
        cmocka_unit_test(any_number_of_threads), cmocka_unit_test(memory_is_used_again),
        cmocka_unit_test(mistakes_are_errors), cmocka_unit_test(packed_is_separate),
        cmocka_unit_test(experts_get_their_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
