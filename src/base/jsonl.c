/* base/jsonl.c – reading JSON lines. */
#include "base/jsonl.h"
#include <string.h>

static bool one(const char *line, size_t n, const char *where, lb_jsonl_fn fn, void *arg, lb_err *err)
{
    if (n > LB_JSONL_MAX_LINE)
        return lb_fail(err, LB_EFORMAT, "%s has %zu bytes in one line, more than %d MiB", where, n,
                       LB_JSONL_MAX_LINE >> 20);
    json_t *row = lb_json_parse(line, n, where, err);
    if (!row) return false;
    if (json_is_object(row)) return fn(arg, row, where, err);
    lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(row));
    json_decref(row);
    return false;
}

bool lb_jsonl_each(const char *text, size_t size, const char *name, int limit, lb_jsonl_fn fn, void *arg, int *n_row,
                   lb_err *err)
{
    size_t line_no = 0;
    int rows = 0;
    bool ok = true;
    for (size_t at = 0; ok && at < size && (limit <= 0 || rows < limit);) {
        const char *line = text + at, *nl = memchr(line, '\n', size - at);
        size_t n = nl ? (size_t)(nl - line) : size - at;
        at += n + 1;
        line_no++;
        if (line_no == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) line += 3, n -= 3;
        while (n && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t')) n--;
        if (n == 0) continue;
        char where[LB_JSONL_WHERE];
        snprintf(where, sizeof where, "%.500s:%zu", name, line_no);
        if (rows == LB_JSONL_MAX_ROWS) ok = lb_fail(err, LB_EFORMAT, "%s: more than %d rows", where, LB_JSONL_MAX_ROWS);
        ok = ok && one(line, n, where, fn, arg, err);
        rows++;
    }
    if (n_row) *n_row = rows;
    return ok;
}
