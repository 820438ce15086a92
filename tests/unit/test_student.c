/* test_student.c – what training sees is what the packed model computes. */
#include "student_rig.h"
#include "base/file.h"
#include "base/median.h"
#include "base/mem.h"
#include "eval/target.h"
#include "infer/engine.h"
#include <unistd.h>

typedef struct fixture {
    lb_exec *ex;
    char dir[64];
} fixture;

static int setup(void **state)
{
    static fixture f;
    lb_err err = {0};
    f = (fixture){.ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &err)};
    assert_ok(f.ex != NULL, err);
    snprintf(f.dir, sizeof f.dir, "/tmp/lowbit-student-%d", (int)getpid());
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    lb_remove_folder(f->dir);
    lb_exec_close(f->ex);
    return 0;
}

static lb_train_stage stage_of(const char *scheme, lb_scales scales)
{
    lb_err err = {0};
    lb_train_stage st = {.kind = LB_STAGE_KD,
                         .name = "test",
                         .scales = scales,
                         .train = LB_TRAIN_LINEARS | LB_TRAIN_SCALES,
                         .lr = 1e-3,
                         .lr_scales = 1e-3};
    assert_ok(lb_scheme_parse(scheme, &st.scheme, &err), err);
    return st;
}

/* Moves every trained parameter a little, so that nothing is as it was loaded. */
static void shake(fixture *f, lb_student *s)
{
    size_t n;
    const lb_student_param *p = lb_student_params(s, &n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)p[i].p->n * (size_t)p[i].p->k;
        if (p[i].lr == 0) continue;
        lb_rng_key key = lb_rng_key_of(3, i, 0);
        float *v = malloc(count * sizeof *v);
        lb_exec_get(f->ex, v, p[i].p->v, count * sizeof *v);
        for (size_t j = 0; j < count; j++) v[j] *= 1 + 0.05f * lb_rng_normal(key, j);
        lb_exec_put(f->ex, p[i].p->v, v, count * sizeof *v);
        free(v);
    }
}

static void export_is_the_tape(fixture *f, lb_student *s, const lb_train_stage *st)
{
    lb_err err = {0};
    assert_ok(lb_student_export(s, f->dir, "test", &err), err);
    lb_store *store = lb_store_open(f->dir, &err);
    assert_ok(store != NULL, err);
    char what[64];
    snprintf(what, sizeof what, "%d bits, %d", st->scheme.w_bits, (int)st->scales);
    for (int layer = 0; layer < 6; layer += 5) assert_layer_is_packed(s, store, &st->scheme, layer, what);
    lb_store_close(store);
}

static lb_student *open_student(fixture *f, unsigned train)
{
    lb_err err = {0};
    lb_student *s = lb_student_open(&(lb_student_opt){.model_dir = ABACUS_DIR, .train = train}, f->ex, &err);
    assert_ok(s != NULL, err);
    return s;
}

static void weights_are_the_same_numbers(fixture *f, const char *scheme, lb_scales scales)
{
    lb_err err = {0};
    lb_train_stage st = stage_of(scheme, scales);
    lb_student *s = open_student(f, st.train);
    assert_ok(lb_student_stage(s, &st, &err), err);
    shake(f, s);
    export_is_the_tape(f, s, &st);
    lb_student_close(s);
}

static void packed_weights_are_those_of_the_tape(void **state)
{
    fixture *f = *state;
    static const char *const schemes[] = {"w2g128", "w3g64s", "w2g128h", "w4g-1s", "w8g128", "w2g-1h"};
    for (int i = 0; i < 6; i++)
        for (int scales = LB_SCALES_MINMAX; scales <= LB_SCALES_LEARNED; scales++)
            if (i < 3 || scales == LB_SCALES_MINMAX || scales == LB_SCALES_LEARNED)
                weights_are_the_same_numbers(f, schemes[i], (lb_scales)scales);
}

/* Progressive widths: a stage goes on from the weights that the one before it left, and its grids begin with their range. */
static void widths_follow_one_another(void **state)
{
    fixture *f = *state;
    static const char *const schemes[] = {"w8g-1", "w4g128", "w3g64s", "w2g128"};
    enum { N = 256 * 256 };
    float *w = malloc(N * sizeof *w), *after = malloc(N * sizeof *w), *rounded[2] = {malloc(N * sizeof *w), malloc(N * sizeof *w)};
    for (int scales = LB_SCALES_MINMAX; scales <= LB_SCALES_LEARNED; scales++) {
        lb_err err = {0};
        lb_student *s = open_student(f, LB_TRAIN_LINEARS | LB_TRAIN_SCALES);
        lb_param *p = lb_model_grad_linear(lb_student_model(s), 2, -1, LB_BLOCK_Q);
        assert_int_equal(p->n * p->k, N);
        for (int i = 0; i < 4; i++) {
            lb_train_stage st = stage_of(schemes[i], (lb_scales)scales), range = stage_of(schemes[i], LB_SCALES_MINMAX);
            lb_exec_get(f->ex, w, p->v, N * sizeof *w);
            for (int turn = 0; turn < 2; turn++)
                assert_ok(lb_student_stage(s, turn ? &st : &range, &err) &&
                              lb_student_rounded(s, 2, -1, LB_BLOCK_Q, rounded[turn], &err), err);
            lb_exec_get(f->ex, after, p->v, N * sizeof *after);
            assert_memory_equal(w, after, N * sizeof *w);
            if (scales != LB_SCALES_CLIP) assert_memory_equal(rounded[0], rounded[1], N * sizeof *w);
            shake(f, s);
            if (i % 2) export_is_the_tape(f, s, &st);
        }
        lb_student_close(s);
    }
    free(w);
    free(after);
    free(rounded[0]);
    free(rounded[1]);
}

/* Logits of the exported model on its own kernels against the tape's. */
static void logits_agree(fixture *f, const char *scheme, double most)
{
    lb_err err = {0};
    lb_train_stage st = stage_of(scheme, LB_SCALES_MINMAX);
    lb_student *s = lb_student_open(&(lb_student_opt){.model_dir = ABACUS_DIR, .train = st.train}, f->ex, &err);
    assert_ok(s != NULL, err);
    assert_ok(lb_student_stage(s, &st, &err), err);
    shake(f, s);
    assert_ok(lb_student_export(s, f->dir, "test", &err), err);
    lb_target t = {0};
    assert_ok(lb_target_open(&t, f->dir, f->ex, &err), err);
    enum { N = 48, LEN = 2, DOCS = N / LEN };
    int ids[N], seq[N], pos[N], all[N], begin[DOCS + 1], V = t.model->cfg.n_vocab, D = t.model->cfg.d_model;
    for (int i = 0; i < N; i++)
        ids[i] = (int)(lb_mix64((uint64_t)i) % 1000), seq[i] = i / LEN, pos[i] = i % LEN, all[i] = i;
    for (int i = 0; i <= DOCS; i++) begin[i] = i * LEN;
    lb_kv_spec spec;
    lb_kv_room room = {.n_seq = DOCS, .n_ctx = LEN};
    assert_ok(lb_model_kv_spec(t.model, st.scheme.kv_bits < 16 ? NULL : "f32", &spec, &err), err);
    lb_kv *kv = lb_model_kv_open(t.model, &spec, &room, &err);
    lb_forward *fw = lb_forward_open(t.model, N, N, &err);
    const float *logits;
    assert_ok(kv && fw, err);
    for (int i = 0; i < DOCS; i++) assert_true(lb_kv_grow(kv, i, LEN));
    lb_batch b = {.n_tok = N, .ids = ids, .seq = seq, .pos = pos, .n_out = N, .out = all};
    assert_ok(lb_forward_run(fw, kv, &b, &logits, &err), err);
    lb_docs docs = {.n_tok = N, .n_doc = DOCS, .ids = ids, .begin = begin};
    float *h = malloc((size_t)N * (size_t)D * sizeof *h), *tape = malloc((size_t)N * (size_t)V * sizeof *tape);
    assert_ok(lb_model_grad_infer(lb_student_model(s), &docs, h, &err), err);
    lb_linear_run(lb_model_grad_head(lb_student_model(s)), tape, V, h, N, f->ex);
    double row[N];
    for (int i = 0; i < N; i++) {
        double e = 0, all2 = 0;
        for (int k = 0; k < V; k++) {
            double y = (double)tape[i * V + k], d = y - (double)logits[i * V + k];
            e += d * d, all2 += y * y;
        }
        row[i] = sqrt(e / all2);
    }
    double median = lb_median(row, N); /* where one code falls to the other side, the rest of a document moves */
    if (!(median < most))
        fail_msg("%s: rows of logits differ by %.2g in the median, more than %.2g", scheme, median, most);
    free(h);
    free(tape);
    lb_forward_close(fw);
    lb_kv_close(kv);
    lb_target_close(&t);
    lb_student_close(s);
}

static void packed_models_compute_what_training_saw(void **state)
{
    logits_agree(*state, "w2g128", 1e-3);       /* 16-bit integer activations of the packed product */
    logits_agree(*state, "w8a8", 1e-5);
    logits_agree(*state, "w8a4", 1e-5);
    logits_agree(*state, "w8kv4", 1e-2);        /* the attention of a packed cache rounds queries */
    logits_agree(*state, "w4a4kv4", 1e-5);
}

static void what_has_no_gradient_is_refused(void **state)
{
    fixture *f = *state;
    lb_err err = {0};
    lb_train_stage st = stage_of("w4g128", LB_SCALES_MINMAX);
    lb_student *s = lb_student_open(&(lb_student_opt){.model_dir = ABACUS_DIR, .train = st.train}, f->ex, &err);
    assert_ok(s != NULL, err);
    assert_ok(lb_scheme_parse("mxfp4", &st.scheme, &err), err);
    assert_false(lb_student_stage(s, &st, &err));
    assert_int_equal(err.code, LB_EUNSUPPORTED);
    assert_ok(lb_scheme_parse("w4g96", &st.scheme, &err), err);
    assert_false(lb_student_stage(s, &st, &err)); /* 96 does not divide rows of 256 */
    assert_non_null(strstr(err.msg, "groups of 96"));
    lb_student_close(s);
    assert_null(lb_student_open(&(lb_student_opt){.model_dir = ABACUS_DIR, .start_dir = ABACUS_DIR, .train = st.train},
                                f->ex, &err));
    assert_non_null(strstr(err.msg, "--save-latent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_weights_are_those_of_the_tape),
        cmocka_unit_test(widths_follow_one_another),
        cmocka_unit_test(packed_models_compute_what_training_saw),
        cmocka_unit_test(what_has_no_gradient_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
