/* test_template.c – chat templates against what transformers renders (tools/make_template_fixtures.py). */
#define _DEFAULT_SOURCE /* mkdtemp */
#include "test.h"
#include "base/file.h"
#include "text/chat.h"
#include "text/template.h"
#include <sys/stat.h>
#include <unistd.h>

#define DATA "tests/golden/data/template/"

static json_t *load(const char *path)
{
    lb_err e = {0};
    json_t *v = lb_json_load(path, &e);
    if (!v) fail_msg("%s", e.msg);
    return v;
}

/* A model folder with one template and the fixture's special tokens, opened. */
static lb_chat *open_chat(const char *dir, const char *name, const json_t *tokens)
{
    lb_err e = {0};
    char from[256], to[256];
    size_t n;
    if (!strcmp(name, "abacus-5m")) {
        lb_chat *c = lb_chat_open(ABACUS_DIR, &e);
        if (!c) fail_msg("%s", e.msg);
        return c;
    }
    snprintf(from, sizeof from, DATA "%s", name);
    snprintf(to, sizeof to, "%s/chat_template.jinja", dir);
    char *text = lb_file_read(from, 1 << 20, &n, &e);
    assert_ok(text && lb_write_file(to, text, n, &e), e);
    free(text);
    snprintf(to, sizeof to, "%s/tokenizer_config.json", dir);
    assert_ok(lb_json_save(to, tokens, &e), e);
    lb_chat *c = lb_chat_open(dir, &e);
    if (!c) fail_msg("%s", e.msg);
    return c;
}

/* The first place where two texts differ, shown. */
static void show(const char *what, size_t i, const char *want, const char *got)
{
    size_t k = 0;
    while (want[k] && want[k] == got[k]) k++;
    size_t from = k > 40 ? k - 40 : 0;
    print_error("%s, case %zu, byte %zu:\n  want …%.120s\n  got  …%.120s\n", what, i, k, want + from, got + from);
}

static void chats_render_as_transformers_does(void **state)
{
    (void)state;
    char dir[] = "/tmp/lb-template-XXXXXX", path[256];
    assert_non_null(mkdtemp(dir));
    json_t *file = load(DATA "chats.json"), *convs = json_object_get(file, "conversations"), *expect, *conv;
    const char *name;
    size_t i;
    int n = 0, bad = 0, n_template = 0;
    json_object_foreach(json_object_get(file, "expect"), name, expect) {
        lb_chat *c = open_chat(dir, name, json_object_get(file, "tokens"));
        n_template++;
        json_array_foreach(convs, i, conv) {
            lb_err e = {0};
            lb_buf out = {0};
            lb_buf_str(&out, "before|");
            const char *want = json_string_value(json_array_get(expect, i));
            bool ok = lb_chat_render(c, json_object_get(conv, "messages"),
                                     json_is_true(json_object_get(conv, "add_generation_prompt")),
                                     json_object_get(conv, "extra"), &out, &e);
            const char *got = ok ? out.p + 7 : NULL;
            n++;
            if (!ok) assert_string_equal(out.p, "before|");
            if (!ok == !want && (!want || !strcmp(want, got))) {
                lb_buf_free(&out);
                continue;
            }
            bad++;
            show(name, i, want ? want : "(an error)", got ? got : e.msg);
            lb_buf_free(&out);
        }
        lb_chat_close(c);
    }
    json_decref(file);
    snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    unlink(path);
    rmdir(dir);
    assert_true(n_template >= 9 && n >= 400);
    assert_int_equal(bad, 0);
}

static void snippets_render_as_jinja_does(void **state)
{
    (void)state;
    json_t *file = load(DATA "snippets.json"), *vars = json_object_get(file, "vars"), *row;
    size_t i, n = json_array_size(json_object_get(file, "snippets"));
    int bad = 0;
    json_array_foreach(json_object_get(file, "snippets"), i, row) {
        lb_err e = {0};
        lb_buf out = {0};
        const char *source = json_string_value(json_object_get(row, "source")),
            *want = json_string_value(json_object_get(row, "expect"));
        bool declined = json_is_true(json_object_get(row, "unsupported"));
        lb_template *t = lb_template_parse(source, strlen(source), "snippet", &e);
        bool ok = t && lb_template_render(t, vars, &out, &e);
        const char *got = ok ? lb_buf_cstr(&out) : e.msg;
        if (declined ? ok || e.code != LB_EUNSUPPORTED : !ok != !want || (want && strcmp(want, got))) {
            bad++;
            show(source, i, want ? want : declined ? "(unsupported)" : "(an error)", got);
        }
        if (!ok) assert_non_null(strstr(e.msg, "snippet: line "));
        lb_template_free(t);
        lb_buf_free(&out);
    }
    json_decref(file);
    assert_true(n > 600);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chats_render_as_transformers_does),
        cmocka_unit_test(snippets_render_as_jinja_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
