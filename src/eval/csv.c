/* eval/csv.c – CSV (RFC 4180) as rows. */
#include "eval/csv.h"
#include "base/buf.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    const char *p, *end, *name;
    size_t line;                 /* of *p, from 1 */
    lb_buf field;
    lb_err *err;
} reader;

static bool bad(const reader *r, size_t line, const char *what)
{
    return lb_fail(r->err, LB_EFORMAT, "%.500s:%zu: %s", r->name, line, what);
}

/* A quoted field, *p behind its opening quote. Blocks between quotes are copied whole. */
static bool quoted(reader *r)
{
    size_t begin = r->line;
    for (;;) {
        const char *q = memchr(r->p, '"', (size_t)(r->end - r->p));
        if (!q) return bad(r, begin, "a quote that begins a field here is never closed");
        for (const char *s = r->p; (s = memchr(s, '\n', (size_t)(q - s))) != NULL; s++) r->line++;
        lb_buf_add(&r->field, r->p, (size_t)(q - r->p));
        r->p = q + 1;
        if (r->p == r->end || *r->p != '"') return true;
        lb_buf_byte(&r->field, '"');
        r->p++;
    }
}

static bool at_line_end(const reader *r)
{
    return r->p == r->end || *r->p == '\n' || (*r->p == '\r' && (r->p + 1 == r->end || r->p[1] == '\n'));
}

static void skip_line_end(reader *r)
{
    if (r->p < r->end && *r->p == '\r') r->p++;
    if (r->p < r->end) r->p++, r->line++;
}

/* One field into r->field; *last says that its record ends behind it (the line end is consumed). */
static bool next_field(reader *r, bool *last)
{
    lb_buf_reset(&r->field);
    if (r->p < r->end && *r->p == '"') {
        r->p++;
        if (!quoted(r)) return false;
        if (!at_line_end(r) && *r->p != ',')
            return bad(r, r->line, "text follows a closing quote; a comma or a line end was wanted");
    } else {
        const char *from = r->p;
        while (!at_line_end(r) && *r->p != ',') {
            if (*r->p == '"') return bad(r, r->line, "a quote within a field that does not begin with one");
            r->p++;
        }
        lb_buf_add(&r->field, from, (size_t)(r->p - from));
    }
    *last = at_line_end(r);
    if (*last) skip_line_end(r);
    else r->p++;
    return true;
}

/* The next record as an array of strings; *out is NULL at the end of the text. */
static bool next_record(reader *r, json_t **out, size_t *line)
{
    bool last = false;
    *out = NULL;
    while (r->p < r->end && at_line_end(r)) skip_line_end(r); /* blank lines */
    if (r->p == r->end) return true;
    *line = r->line;
    if (!(*out = json_array())) return lb_fail_mem(r->err, 0, "a record");
    while (!last) {
        if (json_array_size(*out) == LB_CSV_MAX_FIELD) return bad(r, *line, "more than 4096 fields");
        if (!next_field(r, &last) || !lb_buf_ok(&r->field, "a field", r->err)) return false;
        if (memchr(lb_buf_cstr(&r->field), 0, r->field.n)) return bad(r, *line, "a field has a NUL byte");
        if (json_array_append_new(*out, json_stringn(lb_buf_cstr(&r->field), r->field.n)) != 0)
            return bad(r, *line, "a field is not UTF-8");
    }
    return true;
}

static bool check_header(const reader *r, const json_t *header, size_t line)
{
    json_t *seen = json_object();
    const json_t *h;
    size_t i;
    bool ok = seen || lb_fail_mem(r->err, 0, "the header");
    json_array_foreach (header, i, h) {
        const char *name = json_string_value(h);
        if (!ok || !*name) continue;
        if (json_object_get(seen, name))
            ok = lb_fail(r->err, LB_EFORMAT, "%.500s:%zu: the header has '%.80s' twice", r->name, line, name);
        else if (json_object_set_new(seen, name, json_true()) != 0) ok = lb_fail_mem(r->err, 0, "the header");
    }
    json_decref(seen);
    return ok;
}

static json_t *row_of(const reader *r, const json_t *header, const json_t *record, size_t line)
{
    size_t i, n = json_array_size(record), want = json_array_size(header);
    const json_t *h;
    if (n != want) {
        lb_fail(r->err, LB_EFORMAT, "%.500s:%zu: a record of %zu fields; the header has %zu", r->name, line, n, want);
        return NULL;
    }
    json_t *row = json_object();
    bool ok = row != NULL;
    json_array_foreach (header, i, h)
        if (*json_string_value(h))
            ok = ok && json_object_set(row, json_string_value(h), json_array_get(record, i)) == 0;
    if (ok) return row;
    json_decref(row);
    lb_fail_mem(r->err, 0, "a record");
    return NULL;
}

bool lb_csv_each(const char *text, size_t n, const char *name, lb_jsonl_fn fn, void *arg, lb_err *err)
{
    reader r = {.p = text, .end = text + n, .name = name, .line = 1, .err = err};
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) r.p += 3;
    json_t *header = NULL, *record = NULL;
    size_t line = 0;
    bool ok = next_record(&r, &header, &line) && (!header || check_header(&r, header, line));
    while (ok && header && (ok = next_record(&r, &record, &line)) && record) {
        char where[LB_JSONL_WHERE];
        snprintf(where, sizeof where, "%.500s:%zu", name, line);
        json_t *row = row_of(&r, header, record, line);
        ok = row && fn(arg, row, where, err);
        json_decref(record);
        record = NULL;
    }
    json_decref(record);
    json_decref(header);
    lb_buf_free(&r.field);
    return ok;
}
