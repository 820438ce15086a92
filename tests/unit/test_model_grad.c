/* test_model_grad.c – a whole model on the tape: the forward pass of model/forward.c, the same bits for any packing,
 * any number of threads, with and without checkpoints, and after a resume; plans that hold; what is frozen stays;
 * errors. */
#include "test.h"
#include "base/rng.h"
#include "model/forward.h"
#include "model/model_grad.h"
#include "model/optim.h"
#include <malloc.h>

#define TINY "tests/golden/data/models/"
enum { N_DOC = 5, N_TOK = 107 };
static const int BEGIN[N_DOC + 1] = {0, 1, 38, 50, 53, N_TOK};

static lb_exec *open_exec(const char *isa, int n_thread)
{
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.isa = isa, .n_thread = n_thread}, &err);
    assert_ok(ex, err);
    return ex;
}

static lb_model_grad *open_model(const char *dir, lb_exec *ex, lb_model_grad_opt opt)
{
    lb_err err = {0};
    lb_model_grad *m = lb_model_grad_open(dir, ex, &opt, &err);
    assert_ok(m, err);
    return m;
}

/* Ids, targets and weights of the documents, the same in every test. */
typedef struct batch {
    int ids[N_TOK], target[N_TOK];
    float weight[N_TOK];
    lb_docs docs;
} batch;

static batch *batch_of(int n_vocab)
{
    static batch b;
    n_vocab = n_vocab < 1000 ? n_vocab : 1000;
    for (int i = 0; i < N_TOK; i++) {
        b.ids[i] = (int)(lb_mix64((uint64_t)i) % (uint64_t)n_vocab);
        b.target[i] = (int)(lb_mix64((uint64_t)i + 500) % (uint64_t)n_vocab);
        b.weight[i] = i % 4 == 1 ? 0 : 1;
    }
    b.docs = (lb_docs){.n_tok = N_TOK, .n_doc = N_DOC, .ids = b.ids, .begin = BEGIN};
    return &b;
}

static size_t count_of(const lb_param *p) { return (size_t)p->n * (size_t)p->k; }

/* All gradients of m (or all weights), in one new array. */
static float *flat(const lb_model_grad *m, bool weights, size_t *n)
{
    size_t at = 0;
    *n = 0;
    for (size_t i = 0; i < lb_model_grad_count(m); i++) *n += count_of(lb_model_grad_tensor(m, i)->p);
    float *out = calloc(*n, 4);
    for (size_t i = 0; i < lb_model_grad_count(m); i++) {
        const lb_param *p = lb_model_grad_tensor(m, i)->p;
        const float *x = weights ? p->v : p->d;
        if (x) memcpy(out + at, x, count_of(p) * 4);
        at += count_of(p);
    }
    return out;
}

static void clear(lb_model_grad *m)
{
    for (size_t i = 0; i < lb_model_grad_count(m); i++) {
        lb_param *p = lb_model_grad_tensor(m, i)->p;
        if (p->d) memset(p->d, 0, count_of(p) * 4);
    }
}

static double step(lb_model_grad *m)
{
    lb_err err = {0};
    batch *b = batch_of(lb_model_grad_config(m)->n_vocab);
    lb_vocab_sums s;
    lb_vocab_loss a = {.target = b->target, .weight = b->weight, .ce = 1};
    assert_ok(lb_model_grad_loss(m, &b->docs, &a, &s, &err), err);
    return s.loss;
}

/* ---- the same model as the forward pass's ---- */
static void logits_are_the_forward_pass(void **state)
{
    (void)state;
    static const char *const dirs[] = {ABACUS_DIR, TINY "qwen3", TINY "qwen2-yarn", TINY "llama-llama3", TINY "qwen3_moe",
                                       TINY "qwen3_moe-mixed", TINY "qwen3-ct-w3g32"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        lb_err err = {0};
        lb_exec *ex = open_exec(NULL, 2);
        lb_model_grad *m = open_model(dirs[i], ex, (lb_model_grad_opt){0});
        lb_model *f = lb_model_open(dirs[i], ex, &err);
        assert_ok(f, err);
        int d = f->cfg.d_model, v = f->cfg.n_vocab, seq[N_TOK], pos[N_TOK], all[N_TOK];
        batch *b = batch_of(v);
        float *h = malloc(N_TOK * (size_t)d * 4), *logits = malloc(N_TOK * (size_t)v * 4);
        assert_ok(lb_model_grad_infer(m, &b->docs, h, &err), err);
        size_t scratch = 0;
        assert_ok(lb_linear_check(lb_model_grad_head(m), "head", N_TOK, ex, &scratch, &err), err);
        assert_ok(lb_exec_reserve(ex, scratch, &err), err);
        lb_linear_run(lb_model_grad_head(m), logits, v, h, N_TOK, ex);
        lb_kv *kv = lb_kv_open(ex, &f->cfg, "f32", N_DOC, 64, 0, &err);
        lb_forward *fw = lb_forward_open(f, N_TOK, N_TOK, &err);
        assert_ok(kv && fw, err);
        for (int s = 0; s < N_DOC; s++) {
            assert_true(lb_kv_grow(kv, s, BEGIN[s + 1] - BEGIN[s]));
            for (int t = BEGIN[s]; t < BEGIN[s + 1]; t++) seq[t] = s, pos[t] = t - BEGIN[s], all[t] = t;
        }
        const float *want;
        lb_batch fb = {.n_tok = N_TOK, .ids = b->ids, .seq = seq, .pos = pos, .n_out = N_TOK, .out = all};
        assert_ok(lb_forward_run(fw, kv, &fb, &want, &err), err);
        double diff = 0, size = 0;
        for (size_t j = 0; j < N_TOK * (size_t)v; j++) {
            diff += ((double)logits[j] - (double)want[j]) * ((double)logits[j] - (double)want[j]);
            size += (double)want[j] * (double)want[j];
        }
        /* bf16 rows of the forward pass round what they read; packed weights' activations do not */
        double most = lb_cpu_probe() & LB_AVX512_BF16 ? 3e-2 : 5e-4;
        if (!(sqrt(diff / size) <= most)) fail_msg("%s: logits differ by %.2g", dirs[i], sqrt(diff / size));
        lb_forward_close(fw);
        lb_kv_close(kv);
        lb_model_close(f);
        lb_model_grad_close(m);
        lb_exec_close(ex);
        free(h), free(logits);
    }
}

/* ---- bits ---- */
static void packed_is_separate(void **state)
{
    (void)state;
    static const char *const dirs[] = {ABACUS_DIR, TINY "qwen3_moe"};
    for (int i = 0; i < 2; i++) {
        lb_err err = {0};
        lb_exec *ex = open_exec(NULL, 2);
        lb_model_grad *m = open_model(dirs[i], ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL});
        int d = lb_model_grad_config(m)->d_model;
        batch *b = batch_of(lb_model_grad_config(m)->n_vocab);
        float *h = malloc(N_TOK * (size_t)d * 4), one[64 * 256];
        lb_var *x = lb_model_grad_hidden(m, &b->docs, &err);
        assert_ok(x, err);
        memcpy(h, x->v, N_TOK * (size_t)d * 4);
        for (int s = 0; s < N_DOC; s++) {
            int begin[2] = {0, BEGIN[s + 1] - BEGIN[s]};
            lb_docs doc = {.n_tok = begin[1], .n_doc = 1, .ids = b->ids + BEGIN[s], .begin = begin};
            assert_ok(lb_model_grad_infer(m, &doc, one, &err), err);
            assert_memory_equal(one, h + (size_t)BEGIN[s] * (size_t)d, (size_t)begin[1] * (size_t)d * 4);
        }
        free(h);
        lb_model_grad_close(m);
        lb_exec_close(ex);
    }
}

/* A 4-bit model: weights, activations, keys and values. */
static lb_var *fq_input(void *arg, lb_grad *g, lb_block_input which, lb_var *x)
{
    (void)arg, (void)which;
    return lb_grad_act_fq(g, x, &(lb_act_fq){.bits = 8});
}
static void fq_weight(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias)
{
    (void)which, (void)bias;
    ++*(int *)arg;
    *w = lb_grad_weight_fq(g, *w, &(lb_weight_fq){.bits = 4, .group = 4, .scale_type = LB_BF16});
}
static void fq_expert(void *arg, lb_grad *g, int expert, lb_block_linear which, lb_var **w)
{
    (void)expert;
    fq_weight(arg, g, which, w, NULL);
}
static lb_var *fq_head(void *arg, lb_grad *g, lb_block_head which, lb_var *x)
{
    return which == LB_BLOCK_HEAD_Q ? x : lb_grad_act_fq(g, x, &(lb_act_fq){.bits = 4, .len = *((int *)arg + 1)});
}

static lb_block_hooks hooks_of(int arg[2], const lb_config *c)
{
    arg[0] = 0, arg[1] = c->d_head;
    return (lb_block_hooks){.arg = arg, .input = fq_input, .weight = fq_weight, .head = fq_head, .expert = fq_expert};
}

static float *gradients(const char *dir, int n_thread, bool keep, bool hooked, double *loss, size_t *n)
{
    lb_exec *ex = open_exec(NULL, n_thread);
    lb_model_grad *m = open_model(dir, ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL, .keep = keep});
    int arg[2];
    lb_block_hooks h = hooks_of(arg, lb_model_grad_config(m));
    for (int i = 0; hooked && i < lb_model_grad_config(m)->n_layer; i++) lb_model_grad_hook(m, i, &h);
    *loss = step(m);
    float *d = flat(m, false, n);
    lb_model_grad_close(m);
    lb_exec_close(ex);
    return d;
}

static void checkpoints_and_threads_change_nothing(void **state)
{
    (void)state;
    static const char *const dirs[] = {ABACUS_DIR, TINY "qwen3_moe", TINY "qwen2"};
    for (int i = 0; i < 6; i++) {
        size_t n;
        double want_loss, loss;
        bool hooked = i >= 3;
        float *want = gradients(dirs[i % 3], 1, true, hooked, &want_loss, &n);
        for (int j = 0; j < 3; j++) {
            float *d = gradients(dirs[i % 3], j + 1, j == 1, hooked, &loss, &n);
            assert_true(loss == want_loss);
            assert_memory_equal(want, d, n * 4);
            free(d);
        }
        double sum = 0;
        for (size_t j = 0; j < n; j++) sum += fabs((double)want[j]);
        assert_true(sum > 0);
        free(want);
    }
}

/* The tape's memory is used again: later steps of other shapes hold no more, and give what a new tape gives. */
static void steps_repeat(void **state)
{
    (void)state;
    size_t n;
    double want_loss;
    float *want = gradients(TINY "qwen3_moe", 2, false, false, &want_loss, &n);
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 2);
    lb_model_grad *m = open_model(TINY "qwen3_moe", ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL});
    batch *b = batch_of(lb_model_grad_config(m)->n_vocab);
    size_t held = 0;
    for (int i = 0; i < 6; i++) {
        lb_docs fewer = {.n_tok = BEGIN[4 - i % 4], .n_doc = 4 - i % 4, .ids = b->ids, .begin = BEGIN};
        lb_vocab_sums s;
        lb_vocab_loss a = {.target = b->target, .ce = 1};
        assert_ok(lb_model_grad_loss(m, &fewer, &a, &s, &err), err);
        clear(m);
        assert_true(step(m) == want_loss);
        float *d = flat(m, false, &n);
        assert_memory_equal(want, d, n * 4);
        free(d);
        clear(m);
        if (i == 1) held = lb_grad_bytes(lb_model_grad_tape(m));
        if (i > 1) assert_true(lb_grad_bytes(lb_model_grad_tape(m)) <= held);
    }
    free(want);
    lb_model_grad_close(m);
    lb_exec_close(ex);
}

/* ---- training ---- */
static lb_optim *optim_of(lb_model_grad *m, lb_exec *ex)
{
    lb_err err = {0};
    lb_optim *o = lb_optim_open(ex, &(lb_optim_opt){.beta2 = 0.95f}, &err);
    assert_ok(o, err);
    for (size_t i = 0; i < lb_model_grad_count(m); i++)
        if (lb_model_grad_tensor(m, i)->p->d)
            assert_ok(lb_optim_add(o, lb_model_grad_tensor(m, i)->p, &(lb_optim_group){.lr = 1e-3f}, &err), err);
    return o;
}

static void steps(lb_model_grad *m, lb_optim *o, int n)
{
    lb_err err = {0};
    for (int i = 0; i < n; i++) {
        step(m);
        lb_optim_clip_norm(o, 1);
        assert_ok(lb_optim_step(o, lb_lr_cosine(lb_optim_steps(o), 10, 2, 0), &err), err);
    }
}

/* Weights, moments and the number of steps are all there is to save. */
static void a_resume_gives_the_same_bits(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(NULL, 2);
    lb_model_grad *a = open_model(TINY "qwen2", ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL});
    lb_model_grad *b = open_model(TINY "qwen2", ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL});
    lb_optim *oa = optim_of(a, ex), *ob = optim_of(b, ex);
    steps(a, oa, 4);
    assert_true(lb_optim_bytes(oa) > 0);
    for (size_t i = 0; i < lb_optim_count(oa); i++) {
        lb_param *pa, *pb;
        float *m[2], *s[2];
        lb_optim_state(oa, i, &pa, &m[0], &s[0]);
        lb_optim_state(ob, i, &pb, &m[1], &s[1]);
        memcpy(pb->v, pa->v, count_of(pa) * 4);
        memcpy(m[1], m[0], count_of(pa) * 4);
        memcpy(s[1], s[0], count_of(pa) * 4);
    }
    lb_optim_set_steps(ob, lb_optim_steps(oa));
    steps(a, oa, 4), steps(b, ob, 4);
    size_t n;
    float *x = flat(a, true, &n), *y = flat(b, true, &n);
    assert_memory_equal(x, y, n * 4);
    free(x), free(y);
    lb_optim_close(oa), lb_optim_close(ob);
    lb_model_grad_close(a), lb_model_grad_close(b);
    lb_exec_close(ex);
}

/* Micro-batches with the norm of the whole batch, or sums scaled afterwards: the gradient of the whole. */
static void micro_batches_add_up(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 2);
    lb_model_grad *m = open_model(TINY "qwen3", ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL});
    lb_optim *o = optim_of(m, ex);
    batch *b = batch_of(lb_model_grad_config(m)->n_vocab);
    double weight = 0;
    for (int i = 0; i < N_TOK; i++) weight += (double)b->weight[i];
    size_t n;
    step(m);
    float *want = flat(m, false, &n);
    for (int way = 0; way < 2; way++) {
        lb_optim_zero(o);
        for (int half = 0; half < 2; half++) {
            int d0 = half ? 3 : 0, d1 = half ? N_DOC : 3, t0 = BEGIN[d0], begin[N_DOC + 1];
            for (int d = d0; d <= d1; d++) begin[d - d0] = BEGIN[d] - t0;
            lb_docs docs = {.n_tok = BEGIN[d1] - t0, .n_doc = d1 - d0, .ids = b->ids + t0, .begin = begin};
            lb_vocab_sums s;
            lb_vocab_loss a = {.target = b->target + t0, .weight = b->weight + t0, .ce = 1, .norm = way ? 1 : weight};
            assert_ok(lb_model_grad_loss(m, &docs, &a, &s, &err), err);
        }
        if (way) lb_optim_scale(o, (float)(1 / weight));
        float *d = flat(m, false, &n);
        double diff = 0, size = 0;
        for (size_t i = 0; i < n; i++) {
            diff += ((double)d[i] - (double)want[i]) * ((double)d[i] - (double)want[i]);
            size += (double)want[i] * (double)want[i];
        }
        assert_true(size > 0 && sqrt(diff / size) <= 1e-6);
        free(d);
    }
    free(want);
    lb_optim_close(o);
    lb_model_grad_close(m);
    lb_exec_close(ex);
}

static void only_what_was_asked_for_is_trained(void **state)
{
    (void)state;
    static const unsigned masks[] = {LB_TRAIN_LINEARS, LB_TRAIN_NORMS | LB_TRAIN_ROUTERS, LB_TRAIN_EMBED, LB_TRAIN_HEAD, 0};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        lb_exec *ex = open_exec(NULL, 1);
        lb_model_grad *m = open_model(TINY "qwen3_moe", ex, (lb_model_grad_opt){.train = masks[i]});
        step(m);
        for (size_t j = 0; j < lb_model_grad_count(m); j++) {
            const lb_model_tensor *t = lb_model_grad_tensor(m, j);
            double sum = 0;
            if (!t->p->d != !(t->kind & masks[i])) fail_msg("%s: trained or not?", t->name);
            for (size_t k = 0; t->p->d && k < count_of(t->p); k++) sum += fabs((double)t->p->d[k]);
            if (t->p->d && !strstr(t->name, "experts") && !(sum > 0)) fail_msg("%s gets no gradient", t->name);
        }
        lb_model_grad_close(m);
        lb_exec_close(ex);
    }
}

/* Advantages of 0 leave no trace; log-probabilities of the pass without a way back are those of training. */
static void policy_on_policy(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(NULL, 2);
    lb_model_grad *m = open_model(ABACUS_DIR, ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL});
    int arg[2];
    lb_block_hooks h = hooks_of(arg, lb_model_grad_config(m));
    for (int i = 0; i < lb_model_grad_config(m)->n_layer; i++) lb_model_grad_hook(m, i, &h);
    batch *b = batch_of(lb_model_grad_config(m)->n_vocab);
    static lb_vocab_row rows[N_TOK];
    float zero[N_TOK] = {0}, old[N_TOK], adv[N_TOK];
    lb_vocab_sums s;
    lb_vocab_loss a = {.target = b->target, .rows = rows, .policy = {.advantage = zero, .clip_low = 0.2f, .clip_high = 0.28f}};
    assert_ok(lb_model_grad_measure(m, &b->docs, &a, &s, &err), err);
    for (int t = 0; t < N_TOK; t++) old[t] = rows[t].logp, adv[t] = t % 2 ? 1 : -0.5f;
    a.policy.old_logp = old;
    assert_ok(lb_model_grad_loss(m, &b->docs, &a, &s, &err), err);
    for (int t = 0; t < N_TOK; t++) assert_true(rows[t].ratio == 1);
    size_t n;
    float *d = flat(m, false, &n);
    for (size_t i = 0; i < n; i++) assert_true(d[i] == 0);
    free(d);
    a.policy.advantage = adv;
    assert_ok(lb_model_grad_loss(m, &b->docs, &a, &s, &err), err);
    assert_true(s.ratio == 1 && s.clipped == 0);
    d = flat(m, false, &n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs((double)d[i]);
    assert_true(sum > 0);
    free(d);
    lb_model_grad_close(m);
    lb_exec_close(ex);
}

/* ---- memory ---- */
static size_t heap(void)
{
    struct mallinfo2 i = mallinfo2();
    return i.uordblks + i.hblkhd;
}

static void plans_hold(void **state)
{
    (void)state;
    static const char *const dirs[] = {ABACUS_DIR, TINY "qwen3_moe", TINY "qwen2"};
    for (int i = 0; i < 12; i++) {
        lb_err err = {0};
        bool hooked = i >= 6;
        lb_model_grad_opt opt = {.train = i % 4 == 3 ? LB_TRAIN_NORMS : LB_TRAIN_ALL, .keep = i / 3 % 2};
        lb_exec *ex = open_exec(NULL, 2);
        lb_config c;
        assert_ok(lb_config_load(&c, dirs[i % 3], &err), err);
        int arg[2];
        lb_block_hooks h = hooks_of(arg, &c);
        lb_model_plan plan, held;
        size_t before = heap();
        assert_ok(lb_model_grad_bytes(&c, ex, &opt, N_DOC, BEGIN, hooked ? &h : NULL, &plan, &err), err);
        if (before) assert_true(heap() < before + 65536);   /* nothing stays but what malloc keeps */
        lb_model_grad *m = open_model(dirs[i % 3], ex, opt);
        for (int l = 0; hooked && l < c.n_layer; l++) lb_model_grad_hook(m, l, &h);
        lb_optim *o = optim_of(m, ex);
        step(m);
        size_t real = heap() - before;
        lb_model_grad_held(m, &held);
        assert_true(held.weights == plan.weights && held.gradients == plan.gradients && plan.moments == lb_optim_bytes(o));
        if (fabs((double)held.tape - (double)plan.tape) > 0.1 * (double)plan.tape)
            fail_msg("%s: %zu bytes of tape were planned, %zu are held", dirs[i % 3], plan.tape, held.tape);
        if (before && fabs((double)real - (double)plan.total) > 0.1 * (double)plan.total)
            fail_msg("%s%s: %zu bytes were planned, %zu are held", dirs[i % 3], hooked ? " with hooks" : "", plan.total, real);
        lb_optim_close(o);
        lb_model_grad_close(m);
        lb_config_free(&c);
        lb_exec_close(ex);
    }
}

/* ---- errors ---- */
static void mistakes(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(NULL, 1);
    lb_model_grad *m = open_model(TINY "qwen3", ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL, .max_bytes = 200 << 10});
    batch *b = batch_of(lb_model_grad_config(m)->n_vocab);
    static int many[300], far[N_TOK];
    static const int long_doc[] = {0, 300}, empty[] = {0, 1, 1, 5}, short_of[] = {0, 4};
    memcpy(far, b->ids, sizeof far);
    far[60] = 320;
    const struct { lb_docs docs; const char *says; lb_code code; } cases[] = {
        {{.n_tok = 300, .n_doc = 1, .ids = many, .begin = long_doc},
         "document 0 has 300 tokens; the model's context is 128", LB_EUSAGE},
        {{.n_tok = 5, .n_doc = 3, .ids = many, .begin = empty}, "document 1 of 3 is empty", LB_EUSAGE},
        {{.n_tok = 5, .n_doc = 1, .ids = many, .begin = short_of}, "do not make 5 tokens", LB_EUSAGE},
        {{.n_tok = N_TOK, .n_doc = N_DOC, .ids = far, .begin = BEGIN}, "token 60 has the id 320", LB_EUSAGE},
        {b->docs, "fewer or shorter", LB_ENOMEM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_err err = {0};
        assert_null(lb_model_grad_hidden(m, &cases[i].docs, &err));
        if (!strstr(err.msg, cases[i].says)) fail_msg("%s", err.msg);
        assert_int_equal(err.code, cases[i].code);
    }
    lb_model_grad_close(m);
    lb_err err = {0};
    assert_null(lb_model_grad_open("/nowhere", ex, NULL, &err));
    lb_exec_close(ex);
}

/* A loss that is no number says where that began. */
static void where_numbers_end(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(NULL, 1);
    lb_model_grad *m = open_model(TINY "qwen3_moe", ex, (lb_model_grad_opt){.train = LB_TRAIN_ALL});
    batch *b = batch_of(lb_model_grad_config(m)->n_vocab);
    lb_vocab_sums s;
    lb_vocab_loss a = {.target = b->target, .ce = 1};
    lb_err err = {0};
    float *w = &lb_model_grad_linear(m, 1, -1, LB_BLOCK_O)->v[70], *d = lb_model_grad_linear(m, 0, 2, LB_BLOCK_UP)->d, was = *w;
    assert_ok(lb_model_grad_finite(m, &b->docs, &err), err);
    *w = NAN;
    assert_false(lb_model_grad_loss(m, &b->docs, &a, &s, &err));
    assert_int_equal(err.code, LB_ENUMERIC);
    assert_non_null(strstr(err.msg, "the weight of 'model.layers.1.self_attn.o_proj.weight' is not finite at [1,6]"));
    *w = 3e38f; /* finite itself, but what it is multiplied with is not */
    assert_false(lb_model_grad_measure(m, &b->docs, &a, &s, &err));
    if (!strstr(err.msg, "layer 1: the output for token")) fail_msg("%s", err.msg);
    *w = was;
    clear(m);
    *d = INFINITY;
    assert_false(lb_model_grad_finite(m, &b->docs, &err));
    assert_non_null(strstr(err.msg, "the gradient of 'model.layers.0.mlp.experts.2.up_proj.weight' is not finite at [0,0]"));
    lb_model_grad_close(m);
    lb_exec_close(ex);
}

/* Weights from a seed: the same for any number of threads, other ones for another seed, and they learn. */
static void from_scratch(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_config c;
    float *first = NULL;
    size_t n;
    assert_ok(lb_config_load(&c, TINY "qwen3_moe", &err), err);
    for (int i = 0; i < 3; i++) {
        lb_exec *ex = open_exec(NULL, i + 1);
        lb_model_grad *m = lb_model_grad_new(&c, ex, &(lb_model_grad_opt){.train = LB_TRAIN_ALL}, i < 2 ? 7 : 8, 0, &err);
        assert_ok(m, err);
        float *w = flat(m, true, &n);
        double sum = 0;
        const lb_param *q = lb_model_grad_linear(m, 0, -1, LB_BLOCK_Q);
        for (size_t j = 0; j < count_of(q); j++) sum += (double)q->v[j] * (double)q->v[j];
        assert_true(fabs(sqrt(sum / (double)count_of(q)) - 0.02) < 1e-3);
        assert_non_null(lb_model_grad_linear(m, 1, 1, LB_BLOCK_DOWN));
        if (i == 1) assert_memory_equal(first, w, n * 4);
        if (i == 2) assert_memory_not_equal(first, w, n * 4);
        if (i == 0) first = w;
        else free(w);
        if (i == 2) {
            lb_optim *o = optim_of(m, ex);
            double before = step(m);
            lb_optim_zero(o);
            steps(m, o, 8);
            assert_true(fabs(before - log(c.n_vocab)) < 0.1 && step(m) < before - 0.1);
            lb_optim_close(o);
        }
        lb_model_grad_close(m);
        lb_exec_close(ex);
    }
    free(first);
    lb_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_forward_pass), cmocka_unit_test(packed_is_separate),
        cmocka_unit_test(checkpoints_and_threads_change_nothing), cmocka_unit_test(steps_repeat),
        cmocka_unit_test(a_resume_gives_the_same_bits), cmocka_unit_test(micro_batches_add_up),
        cmocka_unit_test(only_what_was_asked_for_is_trained), cmocka_unit_test(policy_on_policy), cmocka_unit_test(plans_hold),
        cmocka_unit_test(mistakes), cmocka_unit_test(where_numbers_end), cmocka_unit_test(from_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
