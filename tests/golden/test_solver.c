/* test_solver.c – our solvers against GPTQModel, AutoAWQ and hqq on the same layers: not worse by more than 1 %.
 *
 * Real weights and inputs of abacus-5m and a drawn layer with outliers (data/solver, by tools/make_solver_fixtures.py). */
#include "../unit/solver.h"
#include "quant/awq.h"
#include "quant/gptq.h"

typedef struct result {
    char method[16];
    int32_t bits, group, flags;
    double error;
} result;

typedef struct fixture {
    layer l;
    result r[64];
    int n;
} fixture;

static float of_bf16(FILE *f)
{
    uint8_t b[2];
    assert_int_equal(fread(b, 1, 2, f), 2);
    return lb_from_bf16((uint16_t)(b[0] | b[1] << 8));
}

static fixture load(const char *name)
{
    char path[256], magic[8];
    int32_t size[4];
    snprintf(path, sizeof path, "tests/golden/data/solver/%s.bin", name);
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is missing", path);
    assert_true(fread(magic, 1, 8, f) == 8 && memcmp(magic, "lbsolve1", 8) == 0 && fread(size, 4, 4, f) == 4);
    fixture x = {.n = size[3]};
    assert_true(x.n <= 64);
    x.l = (layer){size[0], size[1], size[2], malloc((size_t)size[0] * (size_t)size[1] * 4), malloc((size_t)size[2] * (size_t)size[1] * 4),
                  calloc((size_t)size[1] * (size_t)size[1], 4)};
    for (int i = 0; i < x.l.n * x.l.k; i++) x.l.w[i] = of_bf16(f);
    for (int i = 0; i < x.l.n_x * x.l.k; i++) x.l.x[i] = of_bf16(f);
    for (int i = 0; i < x.n; i++) {
        assert_true(fread(x.r[i].method, 1, 16, f) == 16 && fread(&x.r[i].bits, 4, 3, f) == 3);
        assert_int_equal(fread(&x.r[i].error, 8, 1, f), 1);
    }
    fclose(f);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    assert_ok(lb_gram_add(ex, x.l.h, x.l.x, x.l.n_x, x.l.k, &e), e);
    for (int i = 0; i < x.l.k * x.l.k; i++) x.l.h[i] *= 2.0f / (float)x.l.n_x;
    lb_exec_close(ex);
    return x;
}

/* mean((x·(ŵ − w)ᵀ)²) in double. */
static double output_error(const layer *l, const float *got)
{
    double sum = 0, *d = malloc((size_t)l->k * sizeof *d);
    for (int r = 0; r < l->n; r++) {
        for (int j = 0; j < l->k; j++) d[j] = (double)got[r * l->k + j] - (double)l->w[r * l->k + j];
        for (int t = 0; t < l->n_x; t++) {
            double y = 0;
            for (int j = 0; j < l->k; j++) y += (double)l->x[t * l->k + j] * d[j];
            sum += y * y;
        }
    }
    free(d);
    return sum / ((double)l->n_x * l->n);
}

static double quantized_error(const layer *l, lb_exec *ex, const result *r)
{
    lb_err e = {0};
    lb_qmat q = qmat_new(r->bits, l->n, l->k, r->group, LB_F32);
    lb_quant_job j = job_of(l, &q, ex);
    float *got = malloc((size_t)(l->n * l->k) * sizeof *got);
    double p = 0;
    j.gptq = (lb_gptq_opt){.act_order = r->flags & 1, .static_groups = r->flags & 3};
    j.clip_mse = r->flags & 4, j.clip_zeros = true;
    assert_ok(lb_method_find(r->method, &e)->solve(&j, &q, &e), e);
    for (int i = 0; i < l->n * l->k; i++) {
        got[i] = qmat_value(&q, i / l->k, i % l->k);
        p += pow(fabs((double)got[i] - (double)l->w[i]), 0.7) / (l->n * l->k);
    }
    double out = r->method[0] == 'h' ? p : output_error(l, got);
    free(got);
    lb_qmat_free(&q);
    return out;
}

typedef struct own { lb_exec *ex; const lb_awq_linear *l; const layer *from; } own;
static bool own_loss(void *arg, const float *const *w, double *loss, lb_err *err)
{
    const own *o = arg;
    return lb_awq_linear_loss(o->ex, o->l, o->from->x, o->from->n_x, w[0], loss, err);
}

/* Scale search, then clips on the scaled weights and inputs, then round to nearest: as the method does it. */
static double awq_error(const layer *l, lb_exec *ex, const result *r)
{
    size_t nk = (size_t)(l->n * l->k), xk = (size_t)(l->n_x * l->k);
    float *mean = calloc((size_t)l->k, sizeof *mean), *s = malloc((size_t)l->k * sizeof *s);
    float *w = malloc(nk * sizeof *w), *x = malloc(xk * sizeof *x);
    lb_err e = {0};
    for (size_t i = 0; i < xk; i++) mean[i % (size_t)l->k] += fabsf(l->x[i]) / (float)l->n_x;
    lb_awq_linear a = {.w = l->w, .n = l->n, .k = l->k, .scheme = {.w_bits = r->bits, .group = r->group}, .scale_type = LB_F32};
    own o = {ex, &a, l};
    lb_awq_search search = {.name = "own", .linears = &a, .n_linear = 1, .x_mean = mean, .loss = own_loss, .arg = &o, .ex = ex};
    lb_awq_choice c;
    assert_ok(lb_awq_scale(&search, s, &c, &e), e);
    for (size_t i = 0; i < nk; i++) w[i] = l->w[i] * s[i % (size_t)l->k];
    for (size_t i = 0; i < xk; i++) x[i] = l->x[i] / s[i % (size_t)l->k];
    a.w = w;
    if (r->flags & 1) assert_ok(lb_awq_clip(ex, &a, x, l->n_x, w, &e), e);
    lb_awq_round(ex, &a, NULL, w);
    for (size_t i = 0; i < nk; i++) w[i] /= s[i % (size_t)l->k];
    double out = output_error(l, w);
    free(mean), free(s), free(w), free(x);
    return out;
}

/* hqq's zero points are real numbers, ours whole ones, but ours fits the scale as well: measured in its own objective, 0 to
 * 1.3 % worse at 4 bits, 4 to 22 % better at 3 and 2. */
static double allowed(const result *r) { return r->method[0] == 'h' ? 1.02 : 1.01; }

/* Groups that begin inside a block of 128, estimated on the way: GPTQModel's grids see weights as they were when the block
 * began, ours as they are. Either may win on one layer (0.83, 0.84 and 1.05 here at 2 bits), so they are judged together. */
static bool grids_on_the_way(const result *r) { return r->method[0] == 'g' && !(r->flags & 3) && r->group < 128; }

static void not_worse_than_the_originals(void **state)
{
    (void)state;
    static const char *const names[] = {"abacus-gate", "abacus-v", "drawn"};
    lb_exec *ex = lb_exec_open(NULL, NULL);
    int bad = 0, n_way = 0;
    double log_way = 0;
    for (int i = 0; i < 3; i++) {
        fixture f = load(names[i]);
        assert_int_equal(f.n, 13);
        for (int k = 0; k < f.n; k++) {
            const result *r = &f.r[k];
            double ours = strcmp(r->method, "awq") == 0 ? awq_error(&f.l, ex, r) : quantized_error(&f.l, ex, r);
            bool way = grids_on_the_way(r), fine = way || ours <= r->error * allowed(r);
            if (way) log_way += log(ours / r->error), n_way++;
            bad += !fine;
            print_message("%-12s %-5s w%dg%d flags %d: %.6g, theirs %.6g, ratio %.4f%s\n", names[i], r->method, r->bits, r->group,
                          r->flags, ours, r->error, ours / r->error, fine ? "" : "  WORSE");
        }
        layer_free(&f.l);
    }
    lb_exec_close(ex);
    assert_int_equal(bad, 0);
    assert_int_equal(n_way, 3);
    assert_true(exp(log_way / n_way) <= 1.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(not_worse_than_the_originals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
