/* test_tokenizer.c – ids and text against the tokenizers package.
 *
 * The cases in tests/golden/data/tokenizer come from tools/make_tokenizer_fixtures.py, which describes the format. With
 * a folder as argument, the cases of that folder instead. */
#include "test.h"
#include "base/buf.h"
#include "base/file.h"
#include "text/tokenizer.h"

static const char *folder = "tests/golden/data/tokenizer";

static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2) out[n++] = (char)byte;
    return n;
}

static lb_tokenizer *open_named(const char *name)
{
    char path[512];
    lb_err err = {0};
    lb_tokenizer *t;
    if (!strcmp(name, "abacus")) {
        assert_ok((t = lb_tokenizer_open(ABACUS_DIR, &err)), err);
        return t;
    }
    size_t n;
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    char *json = lb_file_read(path, 1 << 24, &n, &err);
    assert_ok(json, err);
    assert_ok((t = lb_tokenizer_parse(json, n, path, &err)), err);
    free(json);
    return t;
}

static void show(const char *what, const lb_ids *ids)
{
    fprintf(stderr, "  %s:", what);
    for (size_t i = 0; i < ids->n; i++) fprintf(stderr, " %d", ids->p[i]);
    fprintf(stderr, "\n");
}

/* One line of cases; true if ids and text are those of the reference. */
static bool run_case(const lb_tokenizer *t, unsigned flags, const char *hex, char *id_list, const char *decoded,
                     char *tmp)
{
    lb_err err = {0};
    lb_ids want = {0}, got = {0};
    lb_buf out = {0};
    size_t n = *hex == '-' ? 0 : from_hex(hex, tmp);
    for (char *s = strtok(*id_list == '-' ? id_list + 1 : id_list, ","); s; s = strtok(NULL, ","))
        assert_true(lb_ids_push(&want, atoi(s), &err));
    bool ok = true;
    if (!(flags & 8)) {
        assert_ok(lb_tokenizer_encode(t, tmp, n, flags & 3, &got, &err), err);
        ok = got.n == want.n && (!got.n || !memcmp(got.p, want.p, got.n * sizeof *got.p));
        if (!ok) show("want", &want), show("got ", &got);
    }
    assert_ok(lb_tokenizer_decode(t, want.p, want.n, flags & 4, &out, &err), err);
    if (*decoded != '=') n = *decoded == '-' ? 0 : from_hex(decoded, tmp);
    if (out.n != n || memcmp(lb_buf_cstr(&out), tmp, n) != 0) {
        fprintf(stderr, "  decoded %zu bytes, wanted %zu: %.300s\n", out.n, n, lb_buf_cstr(&out));
        ok = false;
    }
    lb_ids_free(&want);
    lb_ids_free(&got);
    lb_buf_free(&out);
    return ok;
}

static void equals_the_reference(void **state)
{
    const char *name = *state;
    char path[512];
    snprintf(path, sizeof path, "%s/%s.txt", folder, name);
    lb_tokenizer *t = open_named(name);
    lb_err err = {0};
    size_t size, n_cases = 0, n_bad = 0;
    char *all = lb_file_read(path, (size_t)1 << 30, &size, &err);
    assert_ok(all, err);
    char *tmp = malloc(size);
    for (char *line = all, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        char *hex = strchr(line, ' ') + 1, *ids = strchr(hex, ' ') + 1, *decoded = strchr(ids, ' ') + 1;
        hex[-1] = ids[-1] = decoded[-1] = 0;
        n_cases++;
        if (!run_case(t, (unsigned)atoi(line), hex, ids, decoded, tmp) && ++n_bad <= 20)
            fprintf(stderr, "%s case %zu: flags %s, text %.400s\n", name, n_cases, line, hex);
    }
    free(tmp);
    free(all);
    lb_tokenizer_close(t);
    printf("%s: %zu cases\n", name, n_cases);
    assert_true(n_cases >= 500);
    assert_int_equal(n_bad, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) folder = argv[1];
    const struct CMUnitTest tests[] = {
        {"abacus", equals_the_reference, NULL, NULL, "abacus"},
        {"qwen3", equals_the_reference, NULL, NULL, "qwen3"},
        {"qwen35", equals_the_reference, NULL, NULL, "qwen35"},
        {"llama3", equals_the_reference, NULL, NULL, "llama3"},
        {"deepseek", equals_the_reference, NULL, NULL, "deepseek"},
        {"odd", equals_the_reference, NULL, NULL, "odd"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
