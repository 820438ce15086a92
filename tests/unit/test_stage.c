/* test_stage.c – a stage of training: what it learns, what it refuses, what it says of numbers that are none. */
#include "test.h"
#include "base/file.h"
#include "train/stage.h"
#include "train/topk.h"
#include <unistd.h>

typedef struct rig {
    lb_exec *ex;
    lb_target base;
    lb_train_recipe r;
    lb_train_ctx x;
    char dir[64], traces[80];
} rig;

static const char trace[] = "{\"prompt\":\"<|im_start|>user\\nCompute "
                            "$2+3$.<|im_end|>\\n<|im_start|>assistant\\n\",\"text\":\"<think>2 + 3 = 5</think>"
                            "5\",\"finish\":\"stop\"}\n{\"prompt\":\"<|im_start|>user\\nCompute "
                            "$7-3$.<|im_end|>\\n<|im_start|>assistant\\n\",\"text\":"
                            "\"<think>7 - 3 = 4</think>4\",\"finish\":\"stop\"}\n";
static const char problems[] = "{\"task\":\"algebra\",\"id\":\"a\",\"problem\":\"Compute $2+3$.\",\"answer\":\"5\"}\n"
                               "{\"task\":\"algebra\",\"id\":\"b\",\"problem\":\"Compute $7-3$.\",\"answer\":\"4\"}\n";

static void open_rig(rig *r, const char *stages)
{
    lb_err err = {0};
    char text[2048], path[96];
    *r = (rig){.ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &err)};
    snprintf(r->dir, sizeof r->dir, "/tmp/lowbit-stage-%d", (int)getpid());
    lb_remove_folder(r->dir);
    assert_ok(lb_mkdirs(r->dir, &err), err);
    snprintf(r->traces, sizeof r->traces, "%s/traces.jsonl", r->dir);
    snprintf(path, sizeof path, "%s/problems.jsonl", r->dir);
    assert_ok(lb_write_file(r->traces, trace, strlen(trace), &err) &&
                  lb_write_file(path, problems, strlen(problems), &err),
              err);
    snprintf(text, sizeof text, "{\"name\":\"t\",\"scheme\":\"w2g128\",\"traces\":{\"file\":\"%s\"},\"stages\":[%s]}",
             r->traces, stages);
    for (char *at; (at = strstr(text, "PROBLEMS")) != NULL;) {
        char rest[1024];
        snprintf(rest, sizeof rest, "%s", at + 8);
        snprintf(at, sizeof text - (size_t)(at - text), "%s%s", path, rest);
    }
    json_t *doc = lb_json_parse(text, strlen(text), "recipe", &err);
    assert_ok(doc && lb_train_recipe_parse(&r->r, doc, "recipe", &err), err);
    json_decref(doc);
    assert_ok(lb_target_open(&r->base, ABACUS_DIR, r->ex, &err) && lb_target_hash(&r->base, &err), err);
    snprintf(path, sizeof path, "%s/train.jsonl", r->dir);
    r->x = (lb_train_ctx){.recipe = &r->r,
                          .model_dir = ABACUS_DIR,
                          .data_dir = "data",
                          .dir = r->dir,
                          .ex = r->ex,
                          .base = &r->base,
                          .trace_file = r->traces,
                          .log_fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0666)};
    const lb_student_opt o = {
        .model_dir = ABACUS_DIR, .train = LB_TRAIN_LINEARS, .d_teacher = r->base.model->cfg.d_model};
    r->x.student = lb_student_open(&o, r->ex, &err);
    assert_ok(r->x.student != NULL, err);
}

static void close_rig(rig *r)
{
    lb_student_close(r->x.student);
    lb_model_grad_close(r->x.teacher);
    lb_target_close(&r->base);
    lb_train_recipe_free(&r->r);
    close(r->x.log_fd);
    lb_exec_close(r->ex);
    lb_remove_folder(r->dir);
}

/* A number of a line of train.jsonl; NaN if the line or the key is not there. */
static double logged(const rig *r, int line, const char *key)
{
    char path[96], *text, *at;
    snprintf(path, sizeof path, "%s/train.jsonl", r->dir);
    at = text = lb_file_read(path, 1 << 20, NULL, NULL);
    while (line-- > 0 && at) at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    json_t *o = at && *at ? json_loads(at, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    double v = json_object_get(o, key) ? json_number_value(json_object_get(o, key)) : NAN;
    json_decref(o);
    free(text);
    return v;
}

#define KD(more)                                                                                                       \
    "{\"kind\":\"kd\",\"tokens\":64,\"seq_tokens\":64,\"warmup\":0,\"schedule\":\"constant\",\"lr\":1e-3" more "}"

static void every_objective_learns(void **state)
{
    (void)state;
    static const char *const stages[] = {
        "{\"kind\":\"sft\",\"tokens\":64,\"seq_tokens\":64,\"warmup\":0,\"schedule\":\"constant\",\"lr\":1e-3,"
        "\"steps\":6}",
        KD(",\"steps\":6"),
        KD(",\"steps\":6,\"divergence\":\"reverse\""),
        KD(",\"steps\":6,\"divergence\":\"js\""),
        KD(",\"steps\":6,\"divergence\":\"cakld\""),
        KD(",\"steps\":6,\"temperature\":2"),
        KD(",\"steps\":6,\"top_k\":8"),
        KD(",\"steps\":6,\"top_k\":20,\"divergence\":\"cakld\""),
        KD(",\"steps\":6,\"scales\":\"clip\",\"train\":[\"linears\",\"scales\"]"),
        KD(",\"steps\":6,\"scales\":\"learned\",\"train\":[\"scales\"],\"lr_scales\":3e-3"),
        KD(",\"steps\":6,\"scales\":\"stretched\",\"train\":[\"linears\",\"scales\"]"),
    };
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        rig r;
        lb_err err = {0};
        open_rig(&r, stages[i]);
        assert_ok(lb_stage_run(&r.x, 0, &err), err);
        double first = logged(&r, 0, "loss"), last = logged(&r, 5, "loss");
        if (!(last < 0.8 * first)) fail_msg("%s: loss from %g to %g", stages[i], first, last);
        close_rig(&r);
    }
}

static void a_number_that_is_none_is_blamed_on_its_tensor(void **state)
{
    (void)state;
    rig r;
    lb_err err = {0};
    open_rig(&r, KD(",\"steps\":1") "," KD(",\"steps\":2"));
    assert_ok(lb_stage_run(&r.x, 0, &err), err);
    char path[96];
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", r.dir);
    size_t n, m;
    char *before = lb_file_read(path, (size_t)1 << 30, &n, &err);
    assert_non_null(before);
    lb_model_grad_linear(lb_student_model(r.x.student), 3, -1, LB_BLOCK_UP)->v[77] = NAN;
    assert_false(lb_stage_run(&r.x, 1, &err));
    assert_int_equal(err.code, LB_ENUMERIC);
    if (!strstr(err.msg, "model.layers.3.mlp.up_proj.weight") || !strstr(err.msg, "checkpoint is kept"))
        fail_msg("%s", err.msg);
    char *after = lb_file_read(path, (size_t)1 << 30, &m, &err);
    assert_true(after && n == m && memcmp(before, after, n) == 0);
    free(before);
    free(after);
    close_rig(&r);
}

static void grpo_is_on_policy_in_its_first_step(void **state)
{
    (void)state;
    rig r;
    lb_err err = {0};
    open_rig(&r, "{\"kind\":\"grpo\",\"scheme\":\"w8g128\",\"prompts\":\"PROBLEMS\",\"steps\":2,\"n_prompt\":2,"
                 "\"group\":3,\"max_new\":40,"
                 "\"sample_temperature\":1.5,\"seq_tokens\":256,\"drop_equal\":false,\"gate\":0,\"lr\":1e-5,"
                 "\"updates\":2,\"kl\":0.1,\"train\":[\"linears\"]}");
    assert_ok(lb_stage_run(&r.x, 0, &err), err);
    assert_true(fabs(logged(&r, 0, "ratio") - 1) < 1e-6); /* old log-probabilities are those of the same weights */
    assert_true(fabs(logged(&r, 0, "k3")) < 1e-9);        /* so is the reference */
    assert_true(logged(&r, 0, "clipped") == 0);
    assert_true(logged(&r, 0, "mismatch") < 0.02);        /* the packed kernels say the same of the samples */
    assert_true(logged(&r, 0, "reward") >= 0 && logged(&r, 0, "reward") <= 1);
    assert_true(isnan(logged(&r, 1, "reward")));          /* the second step has no samples of its own */
    close_rig(&r);
}

static void equal_rewards_move_nothing(void **state)
{
    (void)state;
    rig r;
    lb_err err = {0};
    /* one token is never an answer: all rewards are 0 */
    open_rig(&r, "{\"kind\":\"grpo\",\"prompts\":\"PROBLEMS\",\"steps\":1,\"n_prompt\":2,\"group\":2,\"max_new\":1,"
                 "\"seq_tokens\":256,\"gate\":0,"
                 "\"drop_equal\":false,\"warmup\":0,\"schedule\":\"constant\",\"lr\":1}");
    lb_param *p = lb_model_grad_linear(lb_student_model(r.x.student), 0, -1, LB_BLOCK_Q);
    float before[64];
    memcpy(before, p->v, sizeof before);
    assert_ok(lb_stage_run(&r.x, 0, &err), err);
    assert_true(logged(&r, 0, "grad_norm") == 0 && logged(&r, 0, "truncated") == 1);
    assert_memory_equal(before, p->v, sizeof before);
    close_rig(&r);
}

static void opd_learns_from_its_own_words(void **state)
{
    (void)state;
    rig r;
    lb_err err = {0};
    open_rig(&r, "{\"kind\":\"opd\",\"prompts\":\"PROBLEMS\",\"steps\":12,\"n_prompt\":2,\"group\":4,\"max_new\":60,"
                 "\"seq_tokens\":512,\"warmup\":0,"
                 "\"schedule\":\"constant\",\"lr\":3e-4,\"divergence\":\"forward\"}");
    assert_ok(lb_stage_run(&r.x, 0, &err), err);
    double first = 0, last = 0; /* other samples every time: means of a few steps */
    for (int i = 0; i < 3; i++) first += logged(&r, i, "kl") / 3, last += logged(&r, 9 + i, "kl") / 3;
    if (!(last < 0.8 * first)) fail_msg("KL from %g to %g", first, last);
    close_rig(&r);
}

/* The cached teacher says what the whole one says: with enough outcomes the first step has the same loss. */
static void a_cached_teacher_is_the_teacher(void **state)
{
    (void)state;
    double loss[2];
    for (int i = 0; i < 2; i++) {
        rig r;
        lb_err err = {0};
        open_rig(&r, i ? KD(",\"steps\":1,\"top_k\":400,\"temperature\":1.5") : KD(",\"steps\":1,\"temperature\":1.5"));
        assert_ok(lb_stage_run(&r.x, 0, &err), err);
        loss[i] = logged(&r, 0, "loss");
        if (i) { /* another k does not go with the file */
            lb_topk t;
            lb_corpus c;
            char path[96];
            snprintf(path, sizeof path, "%s/teacher-1-kd.topk", r.dir);
            lb_model_grad *m = lb_model_grad_open(ABACUS_DIR, r.ex, &(lb_model_grad_opt){0}, &err);
            assert_ok(m && lb_corpus_load(&c, &r.base, r.traces, 64, &err), err);
            assert_false(lb_topk_open(&t, path, m, r.ex, &c, 399, 1.5f, 64, NULL, &err));
            assert_non_null(strstr(err.msg, "another teacher"));
            assert_ok(lb_topk_open(&t, path, m, r.ex, &c, 400, 1.5f, 64, NULL, &err), err);
            lb_topk_close(&t);
            lb_corpus_free(&c);
            lb_model_grad_close(m);
        }
        close_rig(&r);
    }
    if (fabs(loss[0] / loss[1] - 1) > 1e-3) fail_msg("whole %g, cached %g", loss[0], loss[1]);
}

static void from_scratch(void **state)
{
    (void)state;
    rig r;
    lb_err err = {0};
    open_rig(&r, "{\"kind\":\"sft\",\"scheme\":\"w16\",\"tokens\":64,\"seq_tokens\":64,\"steps\":12,\"warmup\":2,"
                 "\"lr\":3e-3,\"schedule\":\"wsd\","
                 "\"train\":[\"linears\",\"norms\",\"embed\"]}");
    lb_student_close(r.x.student);
    const lb_student_opt o = {.model_dir = ABACUS_DIR, .train = LB_TRAIN_ALL, .scratch = &r.base.model->cfg, .seed = 1};
    assert_ok((r.x.student = lb_student_open(&o, r.ex, &err)) != NULL, err);
    assert_ok(lb_stage_run(&r.x, 0, &err), err);
    double first = logged(&r, 0, "loss"), last = logged(&r, 11, "loss");
    assert_true(first > 6.5 && first < 9); /* ln 2048 = 7.6: it knows nothing */
    assert_true(last < 0.7 * first);
    char dir[96];
    snprintf(dir, sizeof dir, "%s/out", r.dir);
    assert_ok(lb_student_export(r.x.student, dir, "scratch", &err), err);
    lb_target t = {0};
    assert_ok(lb_target_open(&t, dir, r.ex, &err), err); /* an ordinary bf16 model */
    assert_true(t.model->bpw == 16);
    lb_target_close(&t);
    close_rig(&r);
}

/* The plan of a step, quantizers included, against what the tape holds after one. */
static void the_plan_is_kept(void **state)
{
    (void)state;
    static const char *const schemes[] = {"w2g128", "w4a4kv4"};
    for (int i = 0; i < 2; i++) {
        rig r;
        lb_err err = {0};
        open_rig(&r, KD(",\"steps\":1"));
        lb_train_stage st = r.r.stages[0];
        assert_ok(lb_scheme_parse(schemes[i], &st.scheme, &err) && lb_student_stage(r.x.student, &st, &err), err);
        enum { N = 384 };
        int ids[N], target[N], begin[] = {0, 100, 300, N};
        for (int t = 0; t < N; t++) ids[t] = target[t] = t % 900;
        lb_docs docs = {.n_tok = N, .n_doc = 3, .ids = ids, .begin = begin};
        lb_vocab_loss loss = {.target = target, .ce = 1};
        lb_vocab_sums sums;
        lb_model_plan plan, held;
        const lb_model_grad_opt o = {.train = LB_TRAIN_LINEARS, .d_teacher = r.base.model->cfg.d_model};
        assert_ok(lb_student_plan(&r.base.model->cfg, r.ex, &st, &o, 3, begin, &plan, &err),
                  err);
        assert_ok(lb_model_grad_loss(lb_student_model(r.x.student), &docs, &loss, &sums, &err), err);
        lb_model_grad_held(lb_student_model(r.x.student), &held);
        double want = (double)(plan.total - plan.moments), have = (double)held.total;
        if (fabs(have / want - 1) > 0.1)
            fail_msg("%s: planned %.1f MB, held %.1f MB (tape %.1f and %.1f)", schemes[i], want / 1e6, have / 1e6,
                     (double)plan.tape / 1e6, (double)held.tape / 1e6);
        close_rig(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_objective_learns),
        cmocka_unit_test(a_number_that_is_none_is_blamed_on_its_tensor),
        cmocka_unit_test(grpo_is_on_policy_in_its_first_step),
        cmocka_unit_test(equal_rewards_move_nothing),
        cmocka_unit_test(opd_learns_from_its_own_words),
        cmocka_unit_test(the_plan_is_kept),
        cmocka_unit_test(a_cached_teacher_is_the_teacher),
        cmocka_unit_test(from_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
