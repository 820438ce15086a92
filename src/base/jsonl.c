/* base/jsonl.c – reading JSON lines. */
#include "base/jsonl.h"
#include "base/buf.h"
#include "base/file.h"
#include <stdlib.h>
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

bool lb_jsonl_lines(const char *text, size_t size, lb_line_fn fn, void *arg, lb_err *err)
{
    size_t line_no = 0;
    for (size_t at = 0; at < size;) {
        const char *line = text + at, *nl = memchr(line, '\n', size - at);
        size_t n = nl ? (size_t)(nl - line) : size - at;
        at += n + 1;
        line_no++;
        if (line_no == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) line += 3, n -= 3;
        while (n && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t')) n--;
        if (n && !fn(arg, line, n, line_no, err)) return false;
    }
    return true;
}

typedef struct reading {
    const char *name;
    int limit, rows;
    lb_jsonl_fn fn;
    void *arg;
    bool enough;                 /* stopped by the limit, not by a failure */
} reading;

static bool each_line(void *arg, const char *line, size_t n, size_t line_no, lb_err *err)
{
    reading *r = arg;
    char where[LB_JSONL_WHERE];
    r->enough = r->limit > 0 && r->rows >= r->limit;
    if (r->enough) return false;
    snprintf(where, sizeof where, "%.500s:%zu", r->name, line_no);
    if (r->rows == LB_JSONL_MAX_ROWS) return lb_fail(err, LB_EFORMAT, "%s: more than %d rows", where, LB_JSONL_MAX_ROWS);
    r->rows++;
    return one(line, n, where, r->fn, r->arg, err);
}

bool lb_jsonl_each(const char *text, size_t size, const char *name, int limit, lb_jsonl_fn fn, void *arg, int *n_row,
                   lb_err *err)
{
    reading r = {.name = name, .limit = limit, .fn = fn, .arg = arg};
    bool ok = lb_jsonl_lines(text, size, each_line, &r, err) || r.enough;
    if (n_row) *n_row = r.rows;
    return ok;
}

typedef struct selection {
    const json_t *where;
    int limit, n;
    lb_buf out;
} selection;

static bool select_row(void *arg, json_t *row, const char *at, lb_err *err)
{
    selection *s = arg;
    const char *key;
    json_t *v;
    (void)at;
    bool take = s->limit == 0 || s->n < s->limit;
    json_object_foreach ((json_t *)s->where, key, v) take = take && json_equal(json_object_get(row, key), v);
    char *text = take ? json_dumps(row, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(row);
    if (!take) return true;
    if (!text) return lb_fail_mem(err, 0, "a row");
    lb_buf_str(&s->out, text);
    lb_buf_byte(&s->out, '\n');
    s->n++;
    free(text);
    return true;
}

size_t lb_jsonl_whole(const void *text, size_t n)
{
    while (n > 0 && ((const char *)text)[n - 1] != '\n') n--;
    return n;
}

bool lb_jsonl_select(const char *from, const json_t *where, int limit, const char *to, lb_err *err)
{
    lb_map m;
    selection s = {.where = where, .limit = limit};
    if (!lb_map_open(&m, from, err)) return false;
    bool ok = lb_jsonl_each((const char *)m.p, m.size, from, 0, select_row, &s, NULL, err) && lb_buf_ok(&s.out, from, err);
    lb_map_close(&m);
    if (ok && s.n == 0) ok = lb_fail(err, LB_EFORMAT, "%s: no row is as 'where' wants it", from);
    ok = ok && lb_write_file(to, s.out.p, s.out.n, err);
    lb_buf_free(&s.out);
    return ok;
}
