/* test_csv.c – RFC 4180, and what is not. */
#include "test.h"
#include "base/buf.h"
#include "eval/csv.h"

/* Rows as "key=value|key=value;" with the line in front. */
static bool collect(void *arg, json_t *row, const char *where, lb_err *err)
{
    (void)err;
    lb_buf *b = arg;
    const char *key;
    json_t *v;
    lb_buf_fmt(b, "%s ", strrchr(where, ':') + 1);
    json_object_foreach (row, key, v) lb_buf_fmt(b, "%s=%s|", key, json_string_value(v));
    lb_buf_byte(b, ';');
    json_decref(row);
    return true;
}

static bool read_n(const char *text, size_t n, lb_buf *b, lb_err *e)
{
    char *exact = malloc(n ? n : 1);
    memcpy(exact, text, n);
    bool ok = lb_csv_each(exact, n, "t.csv", collect, b, e);
    free(exact);
    return ok;
}

static void gives(const char *text, const char *want)
{
    lb_buf b = {0};
    lb_err e = {0};
    if (!read_n(text, strlen(text), &b, &e)) fail_msg("%s: %s", text, e.msg);
    if (strcmp(lb_buf_cstr(&b), want) != 0) fail_msg("%s gave %s, wanted %s", text, lb_buf_cstr(&b), want);
    lb_buf_free(&b);
}

static void refused_n(const char *text, size_t n, const char *says)
{
    lb_buf b = {0};
    lb_err e = {0};
    if (read_n(text, n, &b, &e)) fail_msg("took: %s", text);
    if (e.code != LB_EFORMAT || !strstr(e.msg, says)) fail_msg("%s: '%s', wanted '%s'", text, e.msg, says);
    lb_buf_free(&b);
}

static void refused(const char *text, const char *says) { refused_n(text, strlen(text), says); }

static void records_are_read(void **state)
{
    (void)state;
    gives("", "");
    gives("a,b\n", "");
    gives("a,b", "");
    gives("a,b\n1,2\n3,4\n", "2 a=1|b=2|;3 a=3|b=4|;");
    gives("a,b\r\n1,2\r\n3,4", "2 a=1|b=2|;3 a=3|b=4|;");
    gives("\xef\xbb\xbf" "a\nx\n", "2 a=x|;");
    gives("a,b\n,\n", "2 a=|b=|;");
    gives("a,b\n\"\",\"\"\n", "2 a=|b=|;");
    gives("a\n\"x\"\"y\"\n", "2 a=x\"y|;");
    gives("a\n\"\"\"\"\n", "2 a=\"|;");
    gives("a,b\n\"1,\n2\",3\n4,5\n", "2 a=1,\n2|b=3|;4 a=4|b=5|;");
    gives("a,b\n\"l1\r\nl2\r\nl3\",x\ny,z", "2 a=l1\r\nl2\r\nl3|b=x|;5 a=y|b=z|;");
    gives("\n\na,b\n\n1,2\n\r\n\n3,4\n\n", "5 a=1|b=2|;8 a=3|b=4|;");
    gives(",a\n0,x\n1,y\n", "2 a=x|;3 a=y|;"); /* an index without a name */
    gives("\"a,b\",\"c\nd\"\n1,2\n", "3 a,b=1|c\nd=2|;");
    gives("a\n x \n", "2 a= x |;"); /* spaces are part of a field */
    gives("a\nx\ry\n", "2 a=x\ry|;"); /* CR alone ends nothing */
    gives("a,b\n1,2\r", "2 a=1|b=2|;");
    gives("a\n\xc3\xa9\xe2\x88\x91\n", "2 a=\xc3\xa9\xe2\x88\x91|;");
}

static void what_is_no_csv_is_named(void **state)
{
    (void)state;
    refused("a,b\n1\n", "t.csv:2: a record of 1 fields; the header has 2");
    refused("a,b\n1,2\n\"x\ny\",3,4\n", "t.csv:3: a record of 3 fields");
    refused("a,b\n1,2,\n", "t.csv:2: a record of 3 fields");
    refused("a\nx\"y\n", "t.csv:2: a quote within a field");
    refused("a\n\"x\"y\n", "t.csv:2: text follows a closing quote");
    refused("a\n\"x\" \n", "t.csv:2: text follows");
    refused("a\n\"x\"\ry\n", "t.csv:2: text follows");
    refused("a\n\"x\n\n\n", "t.csv:2: a quote that begins a field here is never closed");
    refused("a\n\"x\"\"\n", "never closed");
    refused("a,b,a\n1,2,3\n", "t.csv:1: the header has 'a' twice");
    refused("a\n\xff\n", "t.csv:2: a field is not UTF-8");
    refused("a\n\xed\xa0\x80\n", "not UTF-8");
    refused("\xff\n1\n", "t.csv:1: a field is not UTF-8");
    refused_n("a\nx\0y\n", 6, "t.csv:2: a field has a NUL byte");
    lb_buf b = {0};
    for (int i = 0; i < LB_CSV_MAX_FIELD; i++) lb_buf_byte(&b, ',');
    refused_n(b.p, b.n, "more than 4096 fields");
    lb_buf_free(&b);
}

static bool stop(void *arg, json_t *row, const char *where, lb_err *err)
{
    int *n = arg;
    json_decref(row);
    return ++*n < 2 || lb_fail(err, LB_EFORMAT, "%s: enough", where);
}

static void a_failing_reader_ends_it(void **state)
{
    (void)state;
    int n = 0;
    lb_err e = {0};
    assert_false(lb_csv_each("a\n1\n2\n3\n", 8, "t.csv", stop, &n, &e));
    assert_string_equal(e.msg, "t.csv:3: enough");
    assert_int_equal(n, 2);
}

/* Anything written by the rules is read back. */
static void what_is_written_is_read(void **state)
{
    (void)state;
    unsigned seed = 1;
    static const char alphabet[] = "ab,\"\n\r x";
    for (int round = 0; round < 2000; round++) {
        lb_buf text = {0}, want = {0};
        int n_col = 1 + (int)(seed % 4), line = 2;
        for (int c = 0; c < n_col; c++) lb_buf_fmt(&text, "%sk%d", c ? "," : "", c);
        lb_buf_byte(&text, '\n');
        for (int r = 0; r < 3; r++) {
            lb_buf_fmt(&want, "%d ", line);
            for (int c = 0; c < n_col; c++) {
                char field[12];
                int len = 0;
                seed = seed * 1103515245 + 12345;
                for (unsigned k = 0; k < (seed >> 16) % 8; k++)
                    field[len++] = alphabet[(seed >> (k * 3)) % (sizeof alphabet - 1)];
                field[len] = 0;
                bool quote = strpbrk(field, ",\"\n\r") || (n_col == 1 && !len) || seed % 3 == 0;
                lb_buf_fmt(&want, "k%d=%s|", c, field);
                lb_buf_fmt(&text, "%s%s", c ? "," : "", quote ? "\"" : "");
                for (int k = 0; k < len; k++)
                    lb_buf_fmt(&text, "%s%c", field[k] == '"' ? "\"" : "", field[k]), line += field[k] == '\n';
                lb_buf_str(&text, quote ? "\"" : "");
            }
            line++;
            lb_buf_byte(&want, ';');
            lb_buf_str(&text, seed % 2 ? "\n" : "\r\n");
        }
        gives(text.p, want.p);
        lb_buf_free(&text);
        lb_buf_free(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records_are_read), cmocka_unit_test(what_is_no_csv_is_named),
                                       cmocka_unit_test(a_failing_reader_ends_it),
                                       cmocka_unit_test(what_is_written_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
