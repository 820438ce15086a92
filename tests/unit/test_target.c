/* test_target.c – a model with its texts: what identifies it, and prompts with and without a template. */
#include "test.h"
#include "base/file.h"
#include "eval/target.h"

static char dir[64];
static lb_exec *ex;

/* A copy of the embedded model, to be changed. */
static int copy_model(void **state)
{
    (void)state;
    lb_err e = {0};
    char command[256];
    snprintf(dir, sizeof dir, "/tmp/lowbit-target-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(command, sizeof command, "cp %s/* %s", ABACUS_DIR, dir);
    ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &e);
    return ex ? system(command) : -1;
}

static int remove_model(void **state)
{
    (void)state;
    char command[128];
    lb_exec_close(ex);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void hash_of(const char *model, char out[33])
{
    lb_err e = {0};
    lb_target t;
    assert_ok(lb_target_open(&t, model, ex, &e), e);
    assert_string_equal(t.hash, "");
    assert_ok(lb_target_hash(&t, &e), e);
    memcpy(out, t.hash, 33);
    lb_target_close(&t);
}

static void write_in(const char *name, const char *text)
{
    lb_err e = {0};
    char *path = lb_path_join(dir, name, &e);
    assert_ok(lb_write_file(path, text, strlen(text), &e), e);
    free(path);
}

/* One byte of the last tensor is another one. */
static void change_weights(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -2, SEEK_END), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -2, SEEK_END), 0);
    fputc(c ^ 1, f);
    fclose(f);
}

static void a_model_is_its_weights_and_texts(void **state)
{
    (void)state;
    char first[33], h[8][33];
    int n = 0;
    hash_of(ABACUS_DIR, first);
    assert_int_equal(strlen(first), 32);
    hash_of(dir, h[n++]);
    assert_string_equal(first, h[0]); /* the place does not count */
    write_in("README.md", "not part of it");
    hash_of(dir, h[0]);
    assert_string_equal(first, h[0]);
    change_weights();
    hash_of(dir, h[n++]);
    write_in("generation_config.json", "{\"do_sample\": true, \"eos_token_id\": 7}");
    hash_of(dir, h[n++]);
    write_in("chat_template.jinja", "{{ messages[0].content }}<think>\n");
    hash_of(dir, h[n++]);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(h[i], h[j]) == 0) fail_msg("hashes %d and %d are equal: %s", i, j, h[i]);
}

static void prompts_follow_the_template(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_target t;
    lb_ids ids = {0}, plain = {0};
    lb_hash h, other;
    bool in_thinking = true;
    assert_ok(lb_target_open(&t, ABACUS_DIR, ex, &e), e);
    assert_ok(lb_target_prompt(&t, NULL, "Hi", NULL, &ids, &in_thinking, &h, &e), e);
    assert_false(in_thinking);
    assert_ok(lb_target_prompt(&t, NULL, "Hi ", NULL, &plain, &in_thinking, &other, &e), e);
    assert_true(h.hi != other.hi || h.lo != other.lo);
    size_t n_chat = ids.n;
    lb_sampling s = lb_target_sampling(&t);
    assert_true(fabsf(s.temperature - 0.6f) < 1e-6f && fabsf(s.top_p - 0.95f) < 1e-6f && s.repetition_penalty == 1);
    lb_ids_free(&ids);
    lb_ids_free(&plain);
    lb_target_close(&t);

    write_in("chat_template.jinja", "{{ messages[0].content }}<think>\n");
    assert_ok(lb_target_open(&t, dir, ex, &e), e);
    assert_ok(lb_target_prompt(&t, NULL, "Hi", NULL, &ids, &in_thinking, NULL, &e), e);
    assert_true(in_thinking);
    lb_ids_free(&ids);
    lb_target_close(&t);

    char path[128]; /* no template at all: the bare text, and nothing is left out in silence */
    snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
    remove(path);
    write_in("tokenizer_config.json", "{}");
    write_in("generation_config.json", "{\"temperature\": 0.9}"); /* without do_sample: greedy */
    assert_ok(lb_target_open(&t, dir, ex, &e), e);
    assert_ok(lb_target_prompt(&t, NULL, "Hi", NULL, &ids, &in_thinking, NULL, &e), e);
    assert_true(!in_thinking && ids.n > 0 && ids.n < n_chat);
    assert_false(lb_target_prompt(&t, "Be brief.", "Hi", NULL, &ids, &in_thinking, NULL, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_non_null(strstr(e.msg, "no chat template"));
    json_t *kwargs = json_pack("{s:b}", "enable_thinking", 1);
    assert_false(lb_target_prompt(&t, NULL, "Hi", kwargs, &ids, &in_thinking, NULL, &e));
    json_decref(kwargs);
    assert_true(lb_target_sampling(&t).temperature == 0);
    lb_ids_free(&ids);
    lb_target_close(&t);
}

static void what_is_no_model_is_named(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_target t;
    assert_false(lb_target_open(&t, ABACUS_DIR "/config.json", ex, &e));
    assert_non_null(strstr(e.msg, "is not a folder"));
    assert_false(lb_target_open(&t, "/nowhere", ex, &e));
    write_in("tokenizer.json", "{}");
    assert_false(lb_target_open(&t, dir, ex, &e));
    assert_non_null(strstr(e.msg, "tokenizer.json"));
    assert_null(t.model); /* nothing is left open */
    lb_target_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_its_weights_and_texts),
        cmocka_unit_test(prompts_follow_the_template),
        cmocka_unit_test(what_is_no_model_is_named),
    };
    return cmocka_run_group_tests(tests, copy_model, remove_model);
}
