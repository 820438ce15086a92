/* test_grad_vocab.c – losses over the vocabulary: gradients of every term against differences of the reference's double
 * loss, every row of the table against the reference, and what must hold exactly. */
#include "guard.h"
#include "kern/grad_vocab.h"

static lb_exec *ex_of(void)
{
    static lb_exec *ex;
    lb_err err = {0};
    if (!ex) ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &err);
    assert_ok(ex, err);
    return ex;
}

typedef struct vocab_case {
    const char *name;
    float ce, forward, reverse, jsd, beta, tau, temperature;
    int top_k;                       /* −1: a teacher by logits */
    bool policy, has_old, has_ref;
    float kl;
} vocab_case;

static const vocab_case CASES[] = {
    {.name = "cross-entropy", .ce = 1},
    {.name = "cross-entropy at a temperature", .ce = 0.7f, .temperature = 1.5f},
    {.name = "forward", .forward = 1, .top_k = -1},
    {.name = "reverse", .reverse = 1, .top_k = -1},
    {.name = "both, warm", .forward = 0.3f, .reverse = 0.7f, .tau = 2, .top_k = -1},
    {.name = "jsd", .jsd = 1, .beta = 0.5f, .top_k = -1},
    {.name = "jsd, uneven", .jsd = 1, .beta = 0.2f, .tau = 1.3f, .top_k = -1},
    {.name = "everything", .ce = 0.2f, .forward = 0.5f, .reverse = 0.4f, .jsd = 0.3f, .beta = 0.7f, .tau = 0.8f, .top_k = -1},
    {.name = "forward of 5", .forward = 1, .top_k = 5},
    {.name = "reverse of 5", .reverse = 1, .top_k = 5, .tau = 1.7f},
    {.name = "jsd of 5", .jsd = 1, .beta = 0.4f, .top_k = 5},
    {.name = "cross-entropy and 5", .ce = 0.5f, .forward = 1, .reverse = 0.5f, .top_k = 5},
    {.name = "policy", .policy = true},
    {.name = "policy, moved", .policy = true, .has_old = true},
    {.name = "policy with a reference", .policy = true, .has_old = true, .has_ref = true, .kl = 0.3f, .temperature = 0.9f},
    {.name = "all at once", .ce = 0.1f, .forward = 0.5f, .top_k = -1, .policy = true, .has_old = true},
};
enum { N_CASE = sizeof CASES / sizeof *CASES };

static double soft(const float *x, int n, double tau, int j)
{
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++) top = fmax(top, (double)x[i] / tau);
    for (int i = 0; i < n; i++) sum += exp((double)x[i] / tau - top);
    return exp((double)x[j] / tau - top) / sum;
}

/* Arguments of a case over n rows, with everything they point to. */
typedef struct data {
    lb_vocab_rows a;
    float *s, *t, *p;
    int *ids;
    lb_vocab_task *task;
    lb_vocab_row *row;
} data;

static data data_of(const vocab_case *c, int n, int n_vocab, uint64_t seed)
{
    data x = {.s = randoms((size_t)(n * n_vocab), seed), .t = randoms((size_t)(n * n_vocab), seed + 1)};
    int k = c->top_k > 0 ? c->top_k : 0;
    x.p = calloc((size_t)(n * k + 1), 4), x.ids = calloc((size_t)(n * k + 1), 4);
    x.task = calloc((size_t)n, sizeof *x.task), x.row = calloc((size_t)n, sizeof *x.row);
    for (int i = 0; i < n * n_vocab; i++) x.s[i] *= 2, x.t[i] *= 2;
    for (int r = 0; r < n; r++) {
        float *s = x.s + r * n_vocab, noise = 0.1f * (float)((r * 7) % 5 - 2);
        int y = (r * 11) % n_vocab;
        double l = log(soft(s, n_vocab, c->temperature != 0 ? (double)c->temperature : 1, y));
        x.task[r] = (lb_vocab_task){.target = y, .weight = 0.25f + 0.5f * (float)(r % 3), .advantage = r % 2 ? 1.3f : -0.8f,
                                    .old_logp = (float)l + 3 * noise, .ref_logp = (float)l + 0.5f - noise};
        for (int i = 0; i < k; i++) {
            x.ids[r * k + i] = (r + i * 3) % n_vocab; /* the target is among them in some rows */
            x.p[r * k + i] = (float)soft(x.t + r * n_vocab, n_vocab, c->tau != 0 ? (double)c->tau : 1, x.ids[r * k + i]);
        }
    }
    x.a = (lb_vocab_rows){.s = x.s, .n = n, .n_vocab = n_vocab, .temperature = c->temperature != 0 ? c->temperature : 1,
                          .ce = c->ce, .t = c->top_k < 0 ? x.t : NULL, .top_ids = x.ids, .top_p = x.p, .top_k = k,
                          .forward = c->forward, .reverse = c->reverse, .jsd = c->jsd,
                          .beta = c->beta != 0 ? c->beta : 0.5f, .tau = c->tau != 0 ? c->tau : 1, .policy = c->policy,
                          .has_old = c->has_old, .has_ref = c->has_ref, .clip_low = 0.2f, .clip_high = 0.28f, .kl = c->kl,
                          .task = x.task, .row = x.row};
    return x;
}

static void data_free(data *x) { free(x->s), free(x->t), free(x->p), free(x->ids), free(x->task), free(x->row); }

static const lb_impl *REF(void) { return &lb_op_vocab_rows.impls[0]; }

/* ---- finite differences ---- */
static void differences(void **state)
{
    (void)state;
    enum { N = 6, V = 37 };
    for (int i = 0; i < N_CASE; i++) {
        data x = data_of(&CASES[i], N, V, 50 + (uint64_t)i);
        float s0[N * V];
        double want[N * V], most = 0;
        memcpy(s0, x.s, sizeof s0);
        int clipped = 0;
        if (CASES[i].policy && !CASES[i].has_old) { /* the loss with what the log-probabilities are here held fast */
            REF()->run(&x.a, 0, N, ex_of());
            for (int r = 0; r < N; r++) x.task[r].old_logp = x.row[r].logp;
            x.a.has_old = true;
        }
        for (int j = 0; j < N * V; j++) {
            const float h = 0x1p-7f;
            int r = j / V;
            x.s[j] = s0[j] + h;
            REF()->run(&x.a, r, r + 1, ex_of());
            double up = x.row[r].loss, from = (double)x.s[j];
            x.s[j] = s0[j] - h;
            REF()->run(&x.a, r, r + 1, ex_of());
            want[j] = (double)x.task[r].weight * (up - x.row[r].loss) / (from - (double)x.s[j]);
            x.s[j] = s0[j];
            most = fmax(most, fabs(want[j]));
        }
        assert_true(most > 1e-2);
        x.a.grad = true, x.a.has_old = CASES[i].has_old;
        for (const lb_impl *impl = REF(); impl->name; impl++) {
            if (!runs_here(impl, &x.a)) continue;
            memcpy(x.s, s0, sizeof s0);
            impl->run(&x.a, 0, N, ex_of());
            for (int j = 0; j < N * V; j++)
                if (!(fabs((double)x.s[j] - want[j]) <= 3e-4 * most))
                    fail_msg("%s, %s: row %d [%d]: gradient %.7g, difference %.7g", CASES[i].name, impl->name, j / V, j % V,
                             (double)x.s[j], want[j]);
            for (int r = 0; r < N; r++) clipped += x.row[r].clipped;
        }
        if (CASES[i].has_old) assert_true(clipped > 0); /* both branches were there */
        data_free(&x);
    }
}

/* ---- rows of the table ---- */
static void near(const char *what, const char *row, const char *part, int r, double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("%s, %s: %s of row %d = %.9g, wanted %.9g", what, row, part, r, got, want);
}

static void rows_agree(void **state)
{
    (void)state;
    static const int sizes[] = {1, 15, 16, 33, 1024, 2079};
    for (size_t v = 0; v < sizeof sizes / sizeof *sizes; v++)
        for (int i = 0; i < N_CASE; i++)
            for (int grad = 0; grad < 2; grad++) {
                int V = sizes[v], N = V > 1000 ? 3 : 7;
                if (CASES[i].top_k > V) continue;
                if (V == 1 && CASES[i].top_k > 0) continue;
                size_t n = (size_t)(N * V);
                data x = data_of(&CASES[i], N, V, 90 + (uint64_t)i);
                float *s0 = x.s, *want = guard_new(n);
                lb_vocab_row rows[8];
                x.a.grad = grad;
                x.a.s = memcpy(want, s0, n * 4);
                REF()->run(&x.a, 0, N, ex_of());
                memcpy(rows, x.row, (size_t)N * sizeof *rows);
                if (!grad) assert_memory_equal(want, s0, n * 4);
                for (const lb_impl *impl = REF() + 1; impl->name; impl++) {
                    if (!runs_here(impl, &x.a)) continue;
                    float *y = guard_new(n), *z = guard_new(n);
                    x.a.s = memcpy(z, s0, n * 4);
                    for (int r = N - 1; r >= 0; r--) impl->run(&x.a, r, r + 1, ex_of());
                    x.a.s = memcpy(y, s0, n * 4);
                    impl->run(&x.a, 0, N, ex_of());
                    assert_memory_equal(y, z, n * 4);
                    for (size_t j = 0; j < n; j++)
                        if (!(fabsf(y[j] - want[j]) <= 4e-6f))
                            fail_msg("%s, %s, %d ids: [%zu] = %.9g, wanted %.9g", CASES[i].name, impl->name, V, j,
                                     (double)y[j], (double)want[j]);
                    for (int r = 0; r < N; r++) {
                        const lb_vocab_row *a = &x.row[r], *b = &rows[r];
                        near(CASES[i].name, impl->name, "loss", r, a->loss, b->loss, 1e-5);
                        near(CASES[i].name, impl->name, "distill", r, a->distill, b->distill, 1e-5);
                        near(CASES[i].name, impl->name, "policy", r, a->policy, b->policy, 1e-5);
                        near(CASES[i].name, impl->name, "logp", r, (double)a->logp, (double)b->logp, 4e-6);
                        near(CASES[i].name, impl->name, "entropy", r, (double)a->entropy, (double)b->entropy, 4e-6);
                        near(CASES[i].name, impl->name, "KL", r, (double)a->kl_forward, (double)b->kl_forward, 4e-6);
                        near(CASES[i].name, impl->name, "KL", r, (double)a->kl_reverse, (double)b->kl_reverse, 4e-6);
                        near(CASES[i].name, impl->name, "top", r, (double)a->teacher_top, (double)b->teacher_top, 1e-6);
                        assert_int_equal(a->clipped, b->clipped);
                    }
                    guard_free(y, n), guard_free(z, n);
                }
                x.a.s = x.s;
                guard_free(want, n);
                data_free(&x);
            }
}

/* ---- what is exact ---- */
static void kl_is_student_minus_teacher(void **state)
{
    (void)state;
    enum { N = 5, V = 300 };
    for (const lb_impl *impl = REF(); impl->name; impl++) {
        data x = data_of(&(vocab_case){.forward = 1, .top_k = -1}, N, V, 3);
        if (!runs_here(impl, &x.a)) continue;
        float s0[N * V];
        memcpy(s0, x.s, sizeof s0);
        x.a.grad = true;
        for (int r = 0; r < N; r++) x.task[r].weight = 1;
        impl->run(&x.a, 0, N, ex_of());
        for (int j = 0; j < N * V; j++) {
            int r = j / V;
            double want = soft(s0 + r * V, V, 1, j % V) - soft(x.t + r * V, V, 1, j % V);
            assert_true(fabs((double)x.s[j] - want) <= 1e-6);
        }
        data_free(&x);
        /* a teacher that is the student: no loss, no gradient */
        x = data_of(&(vocab_case){.forward = 0.5f, .reverse = 0.5f, .top_k = -1}, N, V, 3);
        memcpy(x.t, x.s, sizeof s0);
        x.a.grad = true;
        impl->run(&x.a, 0, N, ex_of());
        for (int j = 0; j < N * V; j++) assert_true(fabsf(x.s[j]) <= 1e-9f);
        for (int r = 0; r < N; r++) assert_true(fabs(x.row[r].loss) <= 1e-9);
        data_free(&x);
    }
}

/* A cache of all ids is the teacher; and of some, the same as lumping the others together by hand. */
static void a_whole_cache_is_the_teacher(void **state)
{
    (void)state;
    enum { N = 4, V = 48 };
    for (int i = 0; i < N_CASE; i++) {
        vocab_case c = CASES[i];
        if (c.top_k != -1) continue;
        data full = data_of(&c, N, V, 8);
        c.top_k = V;
        data cache = data_of(&c, N, V, 8);
        for (int j = 0; j < N * V; j++) {
            cache.ids[j] = V - 1 - j % V;
            cache.p[j] = (float)soft(cache.t + j / V * V, V, (double)cache.a.tau, cache.ids[j]);
        }
        full.a.grad = cache.a.grad = true;
        REF()->run(&full.a, 0, N, ex_of());
        REF()->run(&cache.a, 0, N, ex_of());
        for (int j = 0; j < N * V; j++) assert_true(fabsf(full.s[j] - cache.s[j]) <= 1e-6f);
        for (int r = 0; r < N; r++) assert_true(fabs(full.row[r].loss - cache.row[r].loss) <= 1e-5);
        data_free(&full), data_free(&cache);
    }
}

static void policies(void **state)
{
    (void)state;
    enum { N = 6, V = 77 };
    for (const lb_impl *impl = REF(); impl->name; impl++) {
        vocab_case c = {.policy = true, .has_old = true};
        data x = data_of(&c, N, V, 4);
        if (!runs_here(impl, &x.a)) continue;
        float s0[N * V], g[N * V];
        memcpy(s0, x.s, sizeof s0);
        /* no advantage, no gradient, not in the last bit */
        x.a.grad = true;
        for (int r = 0; r < N; r++) x.task[r].advantage = 0;
        impl->run(&x.a, 0, N, ex_of());
        for (int j = 0; j < N * V; j++) assert_true(x.s[j] == 0);
        /* log-probabilities that were just measured: ratio 1, and the same as if there were none */
        for (int r = 0; r < N; r++) x.task[r].old_logp = x.row[r].logp, x.task[r].advantage = (float)r - 2.5f;
        memcpy(x.s, s0, sizeof s0);
        impl->run(&x.a, 0, N, ex_of());
        for (int r = 0; r < N; r++) {
            assert_true(x.row[r].ratio == 1 && !x.row[r].clipped);
            assert_true(x.row[r].policy == -(double)x.task[r].advantage);
        }
        memcpy(g, x.s, sizeof g);
        memcpy(x.s, s0, sizeof s0);
        x.a.has_old = false;
        impl->run(&x.a, 0, N, ex_of());
        assert_memory_equal(g, x.s, sizeof g);
        /* far away on the side that the advantage pushes to: held; on the other: not */
        x.a.has_old = true;
        for (int r = 0; r < N; r++) x.task[r].old_logp = x.row[r].logp - (r % 2 ? 1 : -1), x.task[r].advantage = r < 3 ? 1 : -1;
        memcpy(x.s, s0, sizeof s0);
        impl->run(&x.a, 0, N, ex_of());
        for (int r = 0; r < N; r++) {
            bool held = r % 2 ? r < 3 : r >= 3;
            assert_int_equal(x.row[r].clipped, held);
            for (int j = 0; j < V; j++) assert_true((x.s[r * V + j] == 0) == held);
            double ratio = r % 2 ? exp(1) : exp(-1), clip = r % 2 ? (double)(1 + 0.28f) : (double)(1 - 0.2f);
            assert_true(fabs(x.row[r].policy + (r < 3 ? 1 : -1) * (held ? clip : ratio)) <= 1e-5);
        }
        data_free(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences), cmocka_unit_test(rows_agree), cmocka_unit_test(kl_is_student_minus_teacher),
        cmocka_unit_test(a_whole_cache_is_the_teacher), cmocka_unit_test(policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
