/* test_grad.c – gradients of whole transformer blocks against PyTorch's autograd (tools/make_grad_fixtures.py): float
 * blocks of several architectures, and the block with learned transforms, clips and 4-bit fake quantization; and ParetoQ's
 * stretched quantizer against its authors' code (tools/make_stretched_fixture.py). */
#include "test.h"
#include "base/file.h"
#include "model/block_grad.h"

#define DATA "tests/golden/data"
static const char *const NAMES[LB_BLOCK_LINEARS] = {"q", "k", "v", "o", "gate", "up", "down"};
static const char *const INPUTS[LB_BLOCK_INPUTS] = {"qkv", "o", "gate_up", "down"};

/* ---- reading the fixtures ---- */
typedef struct array {
    const char *name;
    const float *v;
    int n;
} array;
typedef struct fixture {
    lb_map map;
    int n_seq, len, n;
    array a[128];
} fixture;

static fixture load(const char *name)
{
    fixture f = {0};
    lb_err err = {0};
    char path[256];
    snprintf(path, sizeof path, DATA "/grad/%s.bin", name);
    assert_ok(lb_map_open(&f.map, path, &err), err);
    assert_memory_equal(f.map.p, "lbgrad01", 8);
    const char *p = (const char *)f.map.p + 8;
    int head[3];
    memcpy(head, p, sizeof head);
    f.n_seq = head[0], f.len = head[1], f.n = head[2];
    assert_in_range(f.n, 1, 128);
    p += sizeof head;
    for (int i = 0; i < f.n; i++) {
        array *a = &f.a[i];
        a->name = p;
        memcpy(&a->n, p + 24, 4);
        a->v = (const float *)(const void *)(p + 28);
        p += 28 + (size_t)a->n * 4;
    }
    assert_ptr_equal(p, f.map.p + f.map.size);
    return f;
}

static const array *find(const fixture *f, const char *kind, const char *name, const char *part)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s%s", kind, name, part);
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->a[i].name, full) == 0) return &f->a[i];
    fail_msg("the fixture has no array %s", full);
    return NULL;
}

static void near(const fixture *f, const char *kind, const char *name, const char *part, const float *x,
                 const char *where)
{
    const array *want = find(f, kind, name, part);
    double diff = 0, size = 0;
    for (int i = 0; i < want->n; i++) {
        diff += ((double)x[i] - (double)want->v[i]) * ((double)x[i] - (double)want->v[i]);
        size += (double)want->v[i] * (double)want->v[i];
    }
    assert_true(size > 0);
    if (!(sqrt(diff / size) <= 1e-4)) fail_msg("%s: %s: relative error %.2g", where, want->name, sqrt(diff / size));
}

/* ---- a rig: a model's first layer on a tape ---- */
typedef struct rig {
    lb_exec *ex;
    lb_model *m;
    lb_block_weights w;
    lb_block_grad b;
    lb_grad *g;
    lb_param x;
    char where[64];
} rig;

static rig *open_rig(const fixture *f, const char *model, const char *isa)
{
    static rig r;
    lb_err err = {0};
    char dir[256];
    memset(&r, 0, sizeof r);
    snprintf(dir, sizeof dir, DATA "/models/%s", model);
    snprintf(r.where, sizeof r.where, "%s on %s", model, isa);
    assert_ok(r.ex = lb_exec_open(&(lb_exec_opt){.isa = isa, .n_thread = 2}, &err), err);
    assert_ok(r.m = lb_model_open(dir, r.ex, &err), err);
    assert_ok(lb_block_weights_load(&r.w, r.m, 0, &err), err);
    assert_ok(r.g = lb_grad_open(r.ex, 0, &err), err);
    r.b = (lb_block_grad){.cfg = &r.m->cfg, .inv_freq = r.m->inv_freq, .weights = &r.w};
    assert_ok(lb_param_init(&r.x, r.ex, f->n_seq * f->len, r.m->cfg.d_model, "x", &err), err);
    memcpy(r.x.v, find(f, "x", "", "")->v, (size_t)find(f, "x", "", "")->n * 4);
    return &r;
}

static void close_rig(rig *r)
{
    lb_param_free(&r->x, r->ex);
    lb_grad_close(r->g);
    lb_block_weights_free(&r->w, r->ex);
    lb_model_close(r->m);
    lb_exec_close(r->ex);
}

/* Forward, loss, backward; y, loss and dx are compared here. */
static void run(rig *r, const fixture *f, const lb_block_hooks *hooks)
{
    lb_err err = {0};
    lb_var *y = lb_block_grad_run(&r->b, r->g, lb_grad_param(r->g, &r->x), f->n_seq, f->len, hooks);
    assert_ok(lb_grad_ok(r->g, &err), err);
    near(f, "y", "", "", y->v, r->where);
    lb_var *loss = lb_grad_mse(r->g, y, lb_grad_const(r->g, find(f, "t", "", "")->v, y->n, y->k));
    near(f, "loss", "", "", loss->v, r->where);
    assert_ok(lb_grad_backward(r->g, loss, &err), err);
    near(f, "dx", "", "", r->x.d, r->where);
}

static bool has_isa(const char *isa)
{
    unsigned mask;
    lb_err err = {0};
    return lb_cpu_mask(isa, &mask, &err);
}
static const char *const ISAS[] = {"ref", "avx2", "avx512"};

/* ---- float blocks ---- */
static void float_block(const char *model, const char *isa)
{
    fixture f = load(model);
    rig *r = open_rig(&f, model, isa);
    lb_err err = {0};
    lb_param w[LB_BLOCK_LINEARS], norms[2];
    int d = r->m->cfg.d_model;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        int n, k;
        lb_block_shape(&r->m->cfg, (lb_block_linear)i, &n, &k);
        assert_ok(lb_param_init(&w[i], r->ex, n, k, NAMES[i], &err), err);
        memcpy(w[i].v, r->w.w[i], (size_t)n * (size_t)k * 4);
        r->b.params[i] = &w[i];
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(lb_param_init(&norms[i], r->ex, 1, d, "norm", &err), err);
        memcpy(norms[i].v, i ? r->w.mlp_norm : r->w.attn_norm, (size_t)d * 4);
    }
    r->b.attn_norm = &norms[0], r->b.mlp_norm = &norms[1];
    run(r, &f, NULL);
    near(&f, "d.", "attn_norm", "", norms[0].d, r->where);
    near(&f, "d.", "mlp_norm", "", norms[1].d, r->where);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        float *rows = calloc((size_t)w[i].n, 4), *cols = calloc((size_t)w[i].k, 4);
        for (int a = 0; a < w[i].n; a++)
            for (int b = 0; b < w[i].k; b++) {
                float g = w[i].d[a * w[i].k + b];
                rows[a] += g * cosf((float)b), cols[b] += g * cosf((float)a);
            }
        near(&f, "r.", NAMES[i], "", cols, r->where);
        near(&f, "c.", NAMES[i], "", rows, r->where);
        free(rows), free(cols);
        lb_param_free(&w[i], r->ex);
    }
    lb_param_free(&norms[0], r->ex), lb_param_free(&norms[1], r->ex);
    close_rig(r);
    lb_map_close(&f.map);
}

static void float_blocks(void **state)
{
    (void)state;
    static const char *const models[] = {"qwen3", "qwen2", "qwen2-yarn", "llama-f16"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (size_t j = 0; j < sizeof ISAS / sizeof *ISAS; j++)
            if (has_isa(ISAS[j])) float_block(models[i], ISAS[j]);
}

/* ---- the quantized block ---- */
typedef struct side { lb_param d, a, b, hi, lo; } side;
typedef struct learned {
    rig *r;
    side in[LB_BLOCK_INPUTS];
    lb_param hi[LB_BLOCK_LINEARS], lo[LB_BLOCK_LINEARS], p, kc_hi, kc_lo, vc_hi, vc_lo;
} learned;

/* Every trained array with its name in the fixture. */
typedef void (*each_fn)(learned *l, lb_param *p, const char *name, const char *part, const fixture *f);
static void each(learned *l, each_fn fn, const fixture *f)
{
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) {
        fn(l, &l->in[i].d, INPUTS[i], ".d", f), fn(l, &l->in[i].a, INPUTS[i], ".a", f);
        fn(l, &l->in[i].b, INPUTS[i], ".b", f);
        fn(l, &l->in[i].hi, INPUTS[i], ".in.hi", f), fn(l, &l->in[i].lo, INPUTS[i], ".in.lo", f);
    }
    for (int i = 0; i < LB_BLOCK_LINEARS; i++)
        fn(l, &l->hi[i], NAMES[i], ".hi", f), fn(l, &l->lo[i], NAMES[i], ".lo", f);
    fn(l, &l->p, "k", ".p", f);
    fn(l, &l->kc_hi, "kc", ".hi", f), fn(l, &l->kc_lo, "kc", ".lo", f);
    fn(l, &l->vc_hi, "vc", ".hi", f), fn(l, &l->vc_lo, "vc", ".lo", f);
}

static void init_one(learned *l, lb_param *p, const char *name, const char *part, const fixture *f)
{
    lb_err err = {0};
    const array *a = find(f, "v.", name, part);
    bool square = strcmp(part, ".a") == 0 || strcmp(part, ".b") == 0 || strcmp(part, ".p") == 0;
    int n = square ? (int)lroundf(sqrtf((float)a->n)) : 1;
    assert_ok(lb_param_init(p, l->r->ex, n, a->n / n, name, &err), err);
    memcpy(p->v, a->v, (size_t)a->n * 4);
}
static void near_one(learned *l, lb_param *p, const char *name, const char *part, const fixture *f)
{
    near(f, "d.", name, part, p->d, l->r->where);
}
static void free_one(learned *l, lb_param *p, const char *name, const char *part, const fixture *f)
{
    (void)name, (void)part, (void)f;
    lb_param_free(p, l->r->ex);
}

static lb_var *fq_input(void *arg, lb_grad *g, lb_block_input which, lb_var *x)
{
    side *s = &((learned *)arg)->in[which];
    x = lb_grad_scale(g, x, lb_grad_param(g, &s->d), false);
    x = lb_grad_kron(g, x, lb_grad_param(g, &s->a), lb_grad_param(g, &s->b));
    return lb_grad_act_fq(g, x, &(lb_act_fq){.bits = 4, .c_hi = lb_grad_param(g, &s->hi),
                                             .c_lo = lb_grad_param(g, &s->lo)});
}

static void fq_weight(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias)
{
    static const lb_block_input input_of[LB_BLOCK_LINEARS] = {
        LB_BLOCK_IN_QKV, LB_BLOCK_IN_QKV, LB_BLOCK_IN_QKV, LB_BLOCK_IN_O,
        LB_BLOCK_IN_GATE_UP, LB_BLOCK_IN_GATE_UP, LB_BLOCK_IN_DOWN};
    learned *l = arg;
    side *s = &l->in[input_of[which]];
    (void)bias;
    *w = lb_grad_scale(g, *w, lb_grad_param(g, &s->d), true);
    *w = lb_grad_kron(g, *w, lb_grad_inverse(g, lb_grad_param(g, &s->a), true),
                      lb_grad_inverse(g, lb_grad_param(g, &s->b), true));
    *w = lb_grad_weight_fq(g, *w, &(lb_weight_fq){.bits = 4, .sym = true, .scale_type = LB_F32,
                                                  .c_hi = lb_grad_param(g, &l->hi[which]),
                                                  .c_lo = lb_grad_param(g, &l->lo[which])});
}

static lb_var *fq_head(void *arg, lb_grad *g, lb_block_head which, lb_var *x)
{
    learned *l = arg;
    int d = l->r->m->cfg.d_head;
    lb_var *p = lb_grad_param(g, &l->p);
    if (which == LB_BLOCK_HEAD_Q) return lb_grad_kron(g, x, NULL, lb_grad_inverse(g, p, true));
    bool k = which == LB_BLOCK_HEAD_K;
    if (k) x = lb_grad_kron(g, x, NULL, p);
    return lb_grad_act_fq(g, x, &(lb_act_fq){.bits = 4, .len = d, .c_hi = lb_grad_param(g, k ? &l->kc_hi : &l->vc_hi),
                                             .c_lo = lb_grad_param(g, k ? &l->kc_lo : &l->vc_lo)});
}

static void quantized_blocks(void **state)
{
    (void)state;
    static const char *const models[] = {"qwen3", "qwen2"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (size_t j = 0; j < sizeof ISAS / sizeof *ISAS; j++) {
            if (!has_isa(ISAS[j])) continue;
            char name[64];
            snprintf(name, sizeof name, "%s-fq", models[i]);
            fixture f = load(name);
            learned l = {.r = open_rig(&f, models[i], ISAS[j])};
            each(&l, init_one, &f);
            run(l.r, &f, &(lb_block_hooks){.arg = &l, .input = fq_input, .weight = fq_weight, .head = fq_head});
            each(&l, near_one, &f);
            each(&l, free_one, &f);
            close_rig(l.r);
            lb_map_close(&f.map);
        }
}

/* Values and gradients of weights to the bit, of α (twice the scale) up to the order of additions. */
static void stretched_weights(void **state)
{
    (void)state;
    fixture f = load("stretched");
    const array *w = find(&f, "", "w", ""), *a = find(&f, "", "a", ""), *dy = find(&f, "", "dy", "");
    const array *y = find(&f, "", "y", ""), *dw = find(&f, "", "dw", ""), *da = find(&f, "", "da", "");
    assert_int_equal(w->n, f.n_seq * f.len);
    for (size_t i = 0; i < sizeof ISAS / sizeof *ISAS; i++) {
        if (!has_isa(ISAS[i])) continue;
        lb_err err = {0};
        lb_exec *ex = lb_exec_open(&(lb_exec_opt){.isa = ISAS[i]}, &err);
        assert_ok(ex != NULL, err);
        lb_grad *g = lb_grad_open(ex, 0, &err);
        lb_param p = {0}, s = {0};
        assert_ok(lb_param_init(&p, ex, f.n_seq, f.len, "w", &err) && lb_param_init(&s, ex, f.n_seq, 1, "s", &err), err);
        memcpy(p.v, w->v, (size_t)w->n * sizeof *p.v);
        for (int r = 0; r < f.n_seq; r++) s.v[r] = 0.5f * a->v[r];
        lb_weight_grid q = {.bits = 2, .half = true, .scale_type = LB_F32, .scale = lb_grad_param(g, &s)};
        lb_var *out = lb_grad_weight_grid(g, lb_grad_param(g, &p), &q);
        assert_ok(lb_grad_ok(g, &err) && lb_grad_backward_from(g, out, dy->v, &err), err);
        for (int j = 0; j < w->n; j++)
            if (out->v[j] != y->v[j] || p.d[j] != dw->v[j])
                fail_msg("%s [%d]: %.9g and gradient %.9g, theirs %.9g and %.9g", ISAS[i], j, (double)out->v[j],
                         (double)p.d[j], (double)y->v[j], (double)dw->v[j]);
        for (int r = 0; r < f.n_seq; r++)
            if (!(fabs((double)s.d[r] - 2 * (double)da->v[r]) <= 1e-5 * (1 + fabs((double)s.d[r]))))
                fail_msg("%s: ds[%d] is %.9g, theirs %.9g", ISAS[i], r, (double)s.d[r], 2 * (double)da->v[r]);
        lb_param_free(&p, ex), lb_param_free(&s, ex);
        lb_grad_close(g);
        lb_exec_close(ex);
    }
    lb_map_close(&f.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(float_blocks), cmocka_unit_test(quantized_blocks),
                                       cmocka_unit_test(stretched_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
