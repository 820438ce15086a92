/* test_vocab_loss.c – losses over the vocabulary in chunks: against plain double arithmetic over all rows, row by row
 * the same bits, any number of threads, bounded memory, clear errors. */
#include "test.h"
#include "base/rng.h"
#include "model/vocab_loss.h"
#include <malloc.h>

enum { V = 53, D = 12, DT = 7, T = 700 };        /* more than one chunk of rows */

static float *normals(size_t n, uint64_t seed, float by)
{
    float *x = malloc(n * sizeof *x);
    lb_rng_key key = lb_rng_key_of(seed, 0, 0);
    for (size_t i = 0; i < n; i++) x[i] = by * lb_rng_normal(key, i);
    return x;
}

static lb_exec *open_exec(int n_thread)
{
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = n_thread}, &err);
    assert_ok(ex, err);
    return ex;
}

typedef struct rig {
    lb_exec *ex;
    lb_vocab *v;
    float *h, *head, *th, *thead, *weight, *adv, *old, *dh, *dhead;
    int *target;
    lb_linear teacher;
    lb_vocab_row *rows;
} rig;

static rig open_rig(int n_thread)
{
    lb_err err = {0};
    rig r = {.ex = open_exec(n_thread), .h = normals(T * D, 1, 1), .head = normals(V * D, 2, 0.6f), .th = normals(T * DT, 3, 1),
             .thead = normals(V * DT, 4, 0.7f), .adv = normals(T, 5, 1), .weight = calloc(T, 4), .old = calloc(T, 4),
             .dh = calloc(T * D, 4), .dhead = calloc(V * D, 4), .target = calloc(T, 4), .rows = calloc(T, sizeof *r.rows)};
    assert_ok(r.v = lb_vocab_open(r.ex, V, D, DT, &err), err);
    assert_true(lb_vocab_chunk(V) < T);
    for (int t = 0; t < T; t++) {
        r.weight[t] = t < 20 || t % 3 == 1 ? 0 : 0.5f + 0.25f * (float)(t % 4);
        r.target[t] = r.weight[t] == 0 ? -1 : t * 7 % V;
        r.old[t] = -3 + 0.3f * (float)(t % 7);
    }
    r.teacher = (lb_linear){.w = {.num = lb_num_of_dtype(LB_F32), .n = V, .k = DT, .data = r.thead, .tensor_scale = 1}};
    return r;
}

static void close_rig(rig *r)
{
    lb_vocab_close(r->v);
    lb_exec_close(r->ex);
    free(r->h), free(r->head), free(r->th), free(r->thead), free(r->adv), free(r->weight), free(r->old), free(r->dh);
    free(r->dhead), free(r->target), free(r->rows);
}

static lb_vocab_loss loss_of(const rig *r)
{
    return (lb_vocab_loss){.n_tok = T, .h = r->h, .head = r->head, .dh = r->dh, .dhead = r->dhead, .target = r->target,
                           .weight = r->weight, .ce = 0.3f, .distill = {.forward = 0.6f, .reverse = 0.4f, .temperature = 1.5f},
                           .teacher = {.h = r->th, .head = &r->teacher},
                           .policy = {.advantage = r->adv, .old_logp = r->old, .clip_low = 0.2f, .clip_high = 0.28f},
                           .rows = r->rows};
}

static void softmax(const float *h, const float *head, int d, double tau, double *x, double *p)
{
    double top = -INFINITY, sum = 0;
    for (int j = 0; j < V; j++) {
        x[j] = 0;
        for (int i = 0; i < d; i++) x[j] += (double)h[i] * (double)head[j * d + i] / tau;
        top = fmax(top, x[j]);
    }
    for (int j = 0; j < V; j++) sum += exp(x[j] - top);
    for (int j = 0; j < V; j++) x[j] -= top + log(sum), p[j] = exp(x[j]);
}

/* Loss of a row, and ds. */
static double by_hand(const rig *r, int t, double *ds)
{
    double x[V], p[V], xs[V], ps[V], xt[V], q[V], f = 0, v = 0, tau = 1.5;
    softmax(r->h + t * D, r->head, D, 1, x, p);
    softmax(r->h + t * D, r->head, D, tau, xs, ps);
    softmax(r->th + t * DT, r->thead, DT, tau, xt, q);
    for (int j = 0; j < V; j++) f += q[j] * (xt[j] - xs[j]), v += ps[j] * (xs[j] - xt[j]);
    double l = x[r->target[t]], a = (double)r->adv[t], rho = exp(l - (double)r->old[t]);
    double held = fmin(fmax(rho, 1 - (double)0.2f), 1 + (double)0.28f) * a, dl = rho * a > held ? 0 : -rho * a;
    for (int j = 0; j < V; j++) {
        double one = j == r->target[t];
        ds[j] = (double)0.3f * (p[j] - one) + dl * (one - p[j]);
        ds[j] += tau * ((double)0.6f * (ps[j] - q[j]) + (double)0.4f * ps[j] * (xs[j] - xt[j] - v));
    }
    return -(double)0.3f * l + tau * tau * ((double)0.6f * f + (double)0.4f * v) - fmin(rho * a, held);
}

static void near(const char *what, const float *got, const double *want, int n)
{
    double diff = 0, size = 0;
    for (int i = 0; i < n; i++) {
        diff += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += want[i] * want[i];
    }
    assert_true(size > 0);
    if (!(sqrt(diff / size) <= 5e-6)) fail_msg("%s: relative error %.2g", what, sqrt(diff / size));
}

static void chunks_add_up(void **state)
{
    (void)state;
    rig r = open_rig(2);
    lb_err err = {0};
    lb_vocab_loss a = loss_of(&r);
    lb_vocab_sums s;
    a.norm = 321;
    for (int i = 0; i < V * D; i++) r.dhead[i] = 1;  /* added to */
    for (int i = 0; i < T * D; i++) r.dh[i] = 99;    /* written */
    assert_ok(lb_vocab_loss_run(r.v, &a, &s, &err), err);
    static double dh[T * D], dhead[V * D];
    double loss = 0, weight = 0;
    for (int i = 0; i < V * D; i++) dhead[i] = 1;
    for (int t = 0; t < T; t++) {
        double ds[V], w = (double)r.weight[t] / 321;
        if (w == 0) continue;
        double one = by_hand(&r, t, ds);
        assert_true(fabs(one - r.rows[t].loss) <= 2e-5 * (1 + fabs(one)));
        loss += w * one, weight += (double)r.weight[t];
        for (int j = 0; j < V; j++)
            for (int i = 0; i < D; i++) {
                dh[t * D + i] += w * ds[j] * (double)r.head[j * D + i];
                dhead[j * D + i] += w * ds[j] * (double)r.h[t * D + i];
            }
    }
    assert_true(fabs(loss - s.loss) <= 1e-6 * fabs(loss) && s.weight == weight);
    near("dh", r.dh, dh, T * D);
    near("dhead", r.dhead, dhead, V * D);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D && r.weight[t] == 0; i++) assert_true(r.dh[t * D + i] == 0 && r.rows[t].loss == 0);
    assert_true(s.entropy > 0 && s.kl_forward > 0 && s.teacher_top > 1.0 / V && s.clipped > 0 && s.clipped < 1);
    /* without gradients: the same numbers */
    lb_vocab_sums again;
    a.dh = a.dhead = NULL, a.rows = NULL;
    assert_ok(lb_vocab_loss_run(r.v, &a, &again, &err), err);
    assert_true(again.loss == s.loss && again.logp == s.logp && again.kl_reverse == s.kl_reverse);
    close_rig(&r);
}

/* A row's results are its own: the same bits alone, in another place of a chunk, with other threads. */
static void rows_are_independent(void **state)
{
    (void)state;
    rig r = open_rig(1), q = open_rig(3);
    lb_err err = {0};
    lb_vocab_loss a = loss_of(&r), b = loss_of(&q);
    lb_vocab_sums s, z;
    a.norm = b.norm = 100;
    assert_ok(lb_vocab_loss_run(r.v, &a, &s, &err) && lb_vocab_loss_run(q.v, &b, &z, &err), err);
    assert_memory_equal(r.dh, q.dh, T * D * 4);
    assert_memory_equal(r.dhead, q.dhead, V * D * 4);
    assert_true(s.loss == z.loss);
    for (int t = 100; t < T; t += 97) {
        if (r.weight[t] == 0) continue;
        for (int i = 0; i < T; i++) q.weight[i] = i == t ? r.weight[t] : 0;
        assert_ok(lb_vocab_loss_run(q.v, &b, &z, &err), err);
        assert_int_equal(z.n_row, 1);
        assert_memory_equal(r.dh + t * D, q.dh + t * D, D * 4);
        assert_true(q.rows[t].loss == r.rows[t].loss && q.rows[t].logp == r.rows[t].logp);
    }
    /* log-probabilities of one call as the old ones of the next: ratio 1 in every row */
    for (int t = 0; t < T; t++) r.old[t] = r.rows[t].logp;
    assert_ok(lb_vocab_loss_run(r.v, &a, &s, &err), err);
    assert_true(s.clipped == 0);
    for (int t = 0; t < T; t++) assert_true(r.weight[t] == 0 || r.rows[t].ratio == 1);
    close_rig(&r), close_rig(&q);
}

/* A cache of all ids is the teacher; of a few, what is left out is one outcome. */
static void caches(void **state)
{
    (void)state;
    rig r = open_rig(2);
    lb_err err = {0};
    lb_vocab_loss a = loss_of(&r);
    lb_vocab_sums s, z;
    int *ids = malloc(T * V * 4);
    float *p = malloc(T * V * 4), *dh = malloc(T * D * 4);
    assert_ok(lb_vocab_loss_run(r.v, &a, &s, &err), err);
    memcpy(dh, r.dh, T * D * 4);
    for (int t = 0; t < T; t++) {
        double x[V], q[V];
        softmax(r.th + t * DT, r.thead, DT, 1.5, x, q);
        for (int j = 0; j < V; j++) ids[t * V + j] = V - 1 - j, p[t * V + j] = (float)q[V - 1 - j];
    }
    a.teacher = (lb_teacher){.top_k = V, .top_ids = ids, .top_p = p};
    assert_ok(lb_vocab_loss_run(r.v, &a, &z, &err), err);
    assert_true(fabs(s.loss - z.loss) <= 1e-5 && fabs(s.kl_reverse - z.kl_reverse) <= 1e-5);
    for (int i = 0; i < T * D; i++) assert_true(fabsf(dh[i] - r.dh[i]) <= 1e-7f);
    a.teacher.top_k = 5;
    assert_ok(lb_vocab_loss_run(r.v, &a, &z, &err), err);
    assert_true(z.kl_forward > 0 && z.kl_forward < s.kl_forward); /* lumping outcomes never adds to a divergence */
    free(ids), free(p), free(dh);
    close_rig(&r);
}

static void mistakes(void **state)
{
    (void)state;
    rig r = open_rig(1);
    static const int twice[T * 2];
    static float p[T * 2];
    for (int i = 0; i < 16; i++) {
        lb_err err = {0};
        lb_vocab_loss a = loss_of(&r);
        lb_vocab_sums s;
        const char *says = NULL;
        int *ids = malloc(T * 8);
        for (int j = 0; j < T * 2; j++) ids[j] = j % V, p[j] = 0.25f;
        switch (i) {
        case 0: r.target[41] = V, says = "row 41 has the target 53"; break;
        case 1: r.target[33] = -1, says = "row 33 has the target -1"; break;
        case 2: r.weight[7] = NAN, says = "row 7 has the weight nan"; break;
        case 3: a.teacher = (lb_teacher){0}, says = "wants a teacher"; break;
        case 4: r.teacher.w.n = V - 1, says = "teacher's vocabulary has 52 ids, the student's 53"; break;
        case 5: r.teacher.w.k = DT - 1, says = "opened for 7"; break;
        case 6: a.distill.temperature = -1, says = "temperature of distillation"; break;
        case 7: a.distill.jsd = 1, a.distill.beta = 1, says = "between 0 and 1, not 1"; break;
        case 8: a.policy.kl = 0.1f, says = "KL to a reference"; break;
        case 9: a.teacher = (lb_teacher){.top_k = 2, .top_ids = twice, .top_p = p}, says = "id 0 comes twice"; break;
        case 10: ids[44 * 2] = V, a.teacher = (lb_teacher){.top_k = 2, .top_ids = ids, .top_p = p}, says = "row 44"; break;
        case 11: p[50 * 2] = -0.5f, a.teacher = (lb_teacher){.top_k = 2, .top_ids = ids, .top_p = p}, says = "row 50"; break;
        case 12: p[50 * 2] = 0.9f, a.teacher = (lb_teacher){.top_k = 2, .top_ids = ids, .top_p = p}, says = "make 1.15"; break;
        case 13: a.target = NULL, says = "wants target ids"; break;
        case 14: a.teacher.top_k = 3, says = "not both"; break;
        case 15: r.h[77 * D] = INFINITY, says = "row 77 is"; break;
        }
        assert_false(lb_vocab_loss_run(r.v, &a, &s, &err));
        if (!strstr(err.msg, says)) fail_msg("mistake %d: %s", i, err.msg);
        assert_int_equal(err.code, i == 15 ? LB_ENUMERIC : LB_EUSAGE);
        r.target[41] = 41 * 7 % V, r.target[33] = 33 * 7 % V, r.weight[7] = 0, r.teacher.w.n = V, r.teacher.w.k = DT;
        r.h[77 * D] = 1;
        free(ids);
    }
    /* nothing to learn from is nothing wrong */
    lb_err err = {0};
    lb_vocab_loss a = loss_of(&r);
    lb_vocab_sums s;
    memset(r.weight, 0, T * 4);
    assert_ok(lb_vocab_loss_run(r.v, &a, &s, &err), err);
    assert_true(s.loss == 0 && s.n_row == 0 && isnan(s.entropy));
    close_rig(&r);
}

/* A vocabulary of Qwen: what is held beside the arguments. */
static void memory_is_bounded(void **state)
{
    (void)state;
    enum { N = 320, BIG = 151936, W = 4 };
    assert_true(N > lb_vocab_chunk(BIG));
    float *h = normals(N * W, 1, 1), *head = normals((size_t)BIG * W, 2, 1), *dh = malloc(N * W * 4);
    float *dhead = calloc((size_t)BIG * W, 4);
    int target[N];
    for (int t = 0; t < N; t++) target[t] = t * 997 % BIG;
    struct mallinfo2 before = mallinfo2();
    lb_err err = {0};
    lb_exec *ex = open_exec(2);
    for (lb_compute c = LB_COMPUTE_F32; c <= LB_COMPUTE_BF16; c++)
        assert_true(lb_vocab_bytes(ex, c, BIG, 8192, 8192) < 1000000000u);
    lb_vocab *v = lb_vocab_open(ex, BIG, W, W, &err);
    assert_ok(v, err);
    lb_linear teacher = {.w = {.num = lb_num_of_dtype(LB_F32), .n = BIG, .k = W, .data = head, .tensor_scale = 1}};
    lb_vocab_sums s;
    lb_vocab_loss a = {.n_tok = N, .h = h, .head = head, .dh = dh, .dhead = dhead, .target = target, .ce = 1,
                       .distill = {.forward = 1}, .teacher = {.h = h, .head = &teacher}};
    assert_ok(lb_vocab_loss_run(v, &a, &s, &err), err);
    struct mallinfo2 after = mallinfo2();
    size_t held = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, plan = lb_vocab_bytes(ex, LB_COMPUTE_F32, BIG, W, W);
    if (after.uordblks == 0) held = plan; /* a sanitizer's heap does not say */
    if (held > plan + plan / 10 || held < plan - plan / 10 || held >= 1000000000u)
        fail_msg("%zu bytes are held, %zu were planned", held, plan);
    assert_true(fabs(s.kl_forward) <= 1e-6); /* the teacher is the student */
    lb_vocab_close(v);
    lb_exec_close(ex);
    free(h), free(head), free(dh), free(dhead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_add_up), cmocka_unit_test(rows_are_independent), cmocka_unit_test(caches),
        cmocka_unit_test(mistakes), cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
