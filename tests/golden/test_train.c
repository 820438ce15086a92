/* test_train.c – training of whole models against PyTorch (tools/train_fixtures.py): loss, the gradient of every
 * tensor, and 20 steps of AdamW with clipping and a schedule; dense, with biases, with experts. */
#include "test.h"
#include "base/file.h"
#include "model/model_grad.h"
#include "model/optim.h"

#define DATA "tests/golden/data"
enum { STEPS = 20, WARMUP = 4, DECAY = 6 };
static const char *const MODELS[] = {"qwen3", "qwen2", "qwen3_moe", "llama-f16"};

typedef struct array {
    const char *name;
    const float *v;
    int n;
} array;
typedef struct fixture {
    lb_map map;
    array *a;
    int n;
} fixture;

static fixture load(const char *name)
{
    fixture f = {0};
    lb_err err = {0};
    char path[256];
    snprintf(path, sizeof path, DATA "/train/%s.bin", name);
    assert_ok(lb_map_open(&f.map, path, &err), err);
    assert_memory_equal(f.map.p, "lbtrain1", 8);
    const char *p = (const char *)f.map.p + 8;
    memcpy(&f.n, p, 4);
    p += 4;
    assert_in_range(f.n, 1, 4096);
    f.a = calloc((size_t)f.n, sizeof *f.a);
    for (int i = 0; i < f.n; i++) {
        f.a[i].name = p;
        memcpy(&f.a[i].n, p + 80, 4);
        f.a[i].v = (const float *)(const void *)(p + 84);
        p += 84 + (size_t)f.a[i].n * 4;
    }
    assert_ptr_equal(p, f.map.p + f.map.size);
    return f;
}

static const array *find(const fixture *f, const char *kind, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", kind, name);
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->a[i].name, full) == 0) return &f->a[i];
    fail_msg("the fixture has no array %s", full);
    return NULL;
}

static int *ints(const array *a)
{
    int *p = malloc((size_t)a->n * sizeof *p);
    for (int i = 0; i < a->n; i++) p[i] = (int)a->v[i];
    return p;
}

/* Both projections of g [n,k], relative to the size of what is wanted, or to `floor` where that is larger; beside that
 * they may differ by `rounding`. */
static void near(const fixture *f, const char *what, const char *kind, const char *name, const float *g, int n, int k,
                 double floor, double rounding)
{
    for (int side = 0; side < 2; side++) {
        char part[8];
        snprintf(part, sizeof part, "%s.%c.", kind, side ? 'c' : 'r');
        const array *want = find(f, part, name);
        assert_int_equal(want->n, side ? n : k);
        double diff = 0, size = 0;
        for (int i = 0; i < want->n; i++) {
            double got = 0;
            for (int j = 0; j < (side ? k : n); j++)
                got += cos(j) * (double)(side ? g[(size_t)i * (size_t)k + (size_t)j] : g[(size_t)j * (size_t)k + (size_t)i]);
            diff += (got - (double)want->v[i]) * (got - (double)want->v[i]);
            size += (double)want->v[i] * (double)want->v[i];
        }
        double scale = fmax(sqrt(size), floor);
        if (!(sqrt(diff) <= 1e-4 * scale + rounding))
            fail_msg("%s: %s%s: relative error %.2g", what, part, name, sqrt(diff) / scale);
        if (getenv("LB_SHOW")) printf("%s %s%s %.2g of %.3g\n", what, part, name, sqrt(diff) / scale, scale);
    }
}

typedef struct rig {
    fixture f;
    lb_exec *ex;
    lb_model_grad *m;
    int *ids, *target, *begin, n_tok, n_doc;
    const float *weight;
    double norm;
    char what[96];
} rig;

static rig open_rig(const char *model, const char *isa, bool keep)
{
    lb_err err = {0};
    char dir[256];
    rig r = {.f = load(model)};
    snprintf(dir, sizeof dir, DATA "/models/%s", model);
    snprintf(r.what, sizeof r.what, "%s on %s%s", model, isa, keep ? ", all kept" : "");
    assert_ok(r.ex = lb_exec_open(&(lb_exec_opt){.isa = isa, .n_thread = 2}, &err), err);
    assert_ok(r.m = lb_model_grad_open(dir, r.ex, &(lb_model_grad_opt){.train = LB_TRAIN_ALL, .keep = keep}, &err), err);
    r.ids = ints(find(&r.f, "ids", "")), r.target = ints(find(&r.f, "target", "")), r.begin = ints(find(&r.f, "begin", ""));
    r.n_tok = find(&r.f, "ids", "")->n, r.n_doc = find(&r.f, "begin", "")->n - 1;
    r.weight = find(&r.f, "weight", "")->v;
    for (int i = 0; i < r.n_tok; i++) r.norm += (double)r.weight[i];
    return r;
}

static void close_rig(rig *r)
{
    lb_model_grad_close(r->m);
    lb_exec_close(r->ex);
    lb_map_close(&r->f.map);
    free(r->f.a), free(r->ids), free(r->target), free(r->begin);
}

/* Loss and gradients of documents d0 … d1 alone, as a part of the whole batch. */
static double part(rig *r, int d0, int d1)
{
    lb_err err = {0};
    int t0 = r->begin[d0], begin[8];
    for (int d = d0; d <= d1; d++) begin[d - d0] = r->begin[d] - t0;
    lb_docs docs = {.n_tok = r->begin[d1] - t0, .n_doc = d1 - d0, .ids = r->ids + t0, .begin = begin};
    lb_vocab_sums sums;
    lb_vocab_loss a = {.target = r->target + t0, .weight = r->weight + t0, .ce = 1, .norm = r->norm};
    assert_ok(lb_model_grad_loss(r->m, &docs, &a, &sums, &err), err);
    return sums.loss;
}

static void one_model(const char *model, const char *isa, bool keep)
{
    lb_err err = {0};
    rig r = open_rig(model, isa, keep);
    size_t n = lb_model_grad_count(r.m);
    double loss = part(&r, 0, r.n_doc), want = (double)find(&r.f, "loss", "")->v[0], all = 0;
    if (!(fabs(loss - want) <= 1e-5 * want)) fail_msg("%s: loss %.8g, wanted %.8g", r.what, loss, want);
    for (size_t i = 0; i < n; i++) {
        const lb_param *p = lb_model_grad_tensor(r.m, i)->p;
        for (int j = 0; j < p->n * p->k; j++) all += (double)p->d[j] * (double)p->d[j];
    }
    for (size_t i = 0; i < n; i++) {
        const lb_model_tensor *t = lb_model_grad_tensor(r.m, i);
        near(&r.f, r.what, "g", t->name, t->p->d, t->p->n, t->p->k, 1e-3 * sqrt(all), 0);
        memset(t->p->d, 0, (size_t)(t->p->n * t->p->k) * sizeof(float));
    }
    /* 20 steps, two micro-batches each */
    lb_optim *o = lb_optim_open(r.ex, &(lb_optim_opt){.beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f}, &err);
    assert_ok(o, err);
    float **start = calloc(n, sizeof *start);
    for (size_t i = 0; i < n; i++) {
        lb_param *p = lb_model_grad_tensor(r.m, i)->p;
        size_t bytes = (size_t)(p->n * p->k) * sizeof(float);
        start[i] = memcpy(malloc(bytes), p->v, bytes);
        assert_ok(lb_optim_add(o, p, &(lb_optim_group){.lr = 1e-3f, .weight_decay = 0.1f}, &err), err);
    }
    for (int s = 0; s < STEPS; s++) {
        double got = part(&r, 0, 2) + part(&r, 2, r.n_doc), norm = lb_optim_clip_norm(o, 0.5);
        double want_loss = (double)find(&r.f, "loss", "")->v[s], want_norm = (double)find(&r.f, "norm", "")->v[s];
        float lr = lb_lr_wsd(s, STEPS, WARMUP, DECAY, 0.1f);
        if (!(fabs(got - want_loss) <= 1e-4 * want_loss) || !(fabs(norm - want_norm) <= 1e-4 * want_norm))
            fail_msg("%s: step %d: loss %.8g, norm %.8g; wanted %.8g, %.8g", r.what, s, got, norm, want_loss, want_norm);
        assert_true(fabsf(lr - find(&r.f, "lr.factor", "")->v[s]) <= 1e-6f);
        assert_ok(lb_optim_step(o, lr, &err), err);
    }
    for (size_t i = 0; i < n; i++) {
        const lb_model_tensor *t = lb_model_grad_tensor(r.m, i);
        int count = t->p->n * t->p->k;
        double size = 0; /* f32 weights are rounded at every step */
        for (int j = 0; j < count; j++) {
            size += (double)t->p->v[j] * (double)t->p->v[j];
            start[i][j] = t->p->v[j] - start[i][j];
        }
        near(&r.f, r.what, "d", t->name, start[i], t->p->n, t->p->k, 1e-3 * sqrt(count), STEPS * 0x1p-24 * sqrt(size));
        free(start[i]);
    }
    free(start);
    lb_optim_close(o);
    close_rig(&r);
}

static void models(void **state)
{
    (void)state;
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++)
        for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
            unsigned mask;
            lb_err err = {0};
            if (lb_cpu_mask(isas[j], &mask, &err)) one_model(MODELS[i], isas[j], (i + j) % 2);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
