/* test_grad.c – the tape: every operator's gradient against finite differences of its reference row, on every CPU level;
 * fake quantization against differences of the function that the straight-through estimator stands for; errors, reuse of
 * memory, the same bits for any number of threads. */
#include "guard.h"
#include "kern/gemm.h"
#include "model/grad.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finite_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
