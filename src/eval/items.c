/* eval/items.c – from a benchmark's files to its items.
 *
 *   find     the first name of each source that is there
 *   read     JSON lines, a JSON array, a JSON object of arrays, or CSV: one object after the other
 *   item     the benchmark makes of each what it asks and wants */
#include "base/buf.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "eval/bench.h"
#include "eval/csv.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct reading {
    const lb_bench *bench;
    lb_items *out;
    const lb_items_opt *opt;
    const char *text, *name;
    const char *path;            /* the items' own copy of name */
    int source;
    size_t cap;
    int rows;
    bool enough;                 /* stopped by the limit, not by a failure */
    json_t *clusters;            /* group → its number */
} reading;

bool lb_item_set(char **dst, const char *s, lb_err *err)
{
    char *copy = strdup(s);
    if (!copy) return lb_fail_mem(err, strlen(s) + 1, "an item");
    free(*dst);
    *dst = copy;
    return true;
}

lb_hash lb_item_hash(const lb_item *it)
{
    lb_hash h = lb_hash_of(it->prompt, strlen(it->prompt) + 1);
    return lb_hash_bytes(it->gold, strlen(it->gold) + 1, h);
}

static void item_free(lb_item *it)
{
    free(it->id);
    free(it->prompt);
    free(it->gold);
    json_decref(it->row);
}

/* The number of the group's cluster: that of its first item. */
static bool cluster_of(reading *r, lb_item *it, const json_t *row, const char *group, lb_err *err)
{
    if (!group && r->bench->cluster_key) group = json_string_value(json_object_get(row, r->bench->cluster_key));
    if (!group) return true;
    const json_t *known = json_object_get(r->clusters, group);
    if (known) it->cluster = (int)json_integer_value(known);
    else if (json_object_set_new(r->clusters, group, json_integer(it->number)) != 0)
        return lb_fail_mem(err, 0, "the items");
    return true;
}

/* One row, which stays the caller's. */
static bool add_row(reading *r, json_t *json, const char *where, const char *group, size_t offset, size_t n_byte,
                    lb_err *err)
{
    lb_items *out = r->out;
    r->enough = r->opt->limit > 0 && out->n >= r->opt->limit;
    if (r->enough) return false;
    if (r->rows++ == LB_JSONL_MAX_ROWS)
        return lb_fail(err, LB_EFORMAT, "%s: more than %d rows", where, LB_JSONL_MAX_ROWS);
    if (!json_is_object(json))
        return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(json));
    if (!lb_grow(&out->p, &r->cap, (size_t)out->n + 1, sizeof *out->p, "the items", err)) return false;
    lb_item *it = &out->p[out->n];
    *it = (lb_item){.bench = r->bench,
                    .source = r->source,
                    .number = out->n + 1,
                    .cluster = out->n + 1,
                    .path = r->path,
                    .offset = offset,
                    .n_byte = n_byte};
    lb_row row = {.json = json, .where = where, .group = group, .source = r->source, .opt = r->opt};
    bool skip = false, ok = r->bench->item(r->bench, &row, it, &skip, err);
    if (ok && !skip) {
        ok = cluster_of(r, it, json, group, err);
        if (ok && !it->id) ok = lb_item_set(&it->id, "", err);
        if (ok && !it->gold) ok = lb_item_set(&it->gold, "", err);
        if (ok && !it->hash.hi && !it->hash.lo) it->hash = lb_item_hash(it);
        if (!r->bench->keeps_no_row) it->row = json_incref(json);
    }
    if (!ok || skip) item_free(it);
    else out->n++;
    return ok;
}

/* ---- JSON ---- */

static bool each_line(void *arg, const char *line, size_t n, size_t line_no, lb_err *err)
{
    reading *r = arg;
    char where[LB_JSONL_WHERE];
    size_t max = r->bench->max_line ? r->bench->max_line : LB_JSONL_MAX_LINE;
    r->enough = r->opt->limit > 0 && r->out->n >= r->opt->limit;
    if (r->enough) return false;
    snprintf(where, sizeof where, "%.500s:%zu", r->name, line_no);
    if (n > max)
        return lb_fail(err, LB_EFORMAT, "%s has %zu bytes in one line, more than %zu MiB", where, n, max >> 20);
    json_t *row = lb_json_parse(line, n, where, err);
    bool ok = row && add_row(r, row, where, NULL, (size_t)(line - r->text), n, err);
    json_decref(row);
    return ok;
}

static bool each_record(void *arg, json_t *row, const char *where, lb_err *err)
{
    bool ok = add_row(arg, row, where, NULL, 0, 0, err);
    json_decref(row);
    return ok;
}

/* A row of a document: its number stands in for the line. */
static bool add_numbered(reading *r, json_t *json, const char *group, lb_err *err)
{
    char where[LB_JSONL_WHERE];
    snprintf(where, sizeof where, "%.500s, row %d", r->name, r->rows + 1);
    return add_row(r, json, where, group, 0, 0, err);
}

/* Whether every value is an array of objects, and there is one: {"ca43…": [solution, solution, solution], …} */
static bool is_groups(json_t *o)
{
    const char *key;
    json_t *v, *row;
    size_t i;
    json_object_foreach (o, key, v) {
        if (!json_is_array(v)) return false;
        json_array_foreach (v, i, row)
            if (!json_is_object(row)) return false;
    }
    return json_object_size(o) > 0;
}

/* An array of rows, an object of arrays of rows, or a single row. */
static bool each_of_document(reading *r, json_t *doc, lb_err *err)
{
    const char *key;
    json_t *v, *row;
    size_t i;
    if (json_is_array(doc)) {
        json_array_foreach (doc, i, row)
            if (!add_numbered(r, row, NULL, err)) return false;
    } else if (is_groups(doc)) {
        json_object_foreach (doc, key, v)
            json_array_foreach (v, i, row)
                if (!add_numbered(r, row, key, err)) return false;
    } else {
        return add_numbered(r, doc, NULL, err);
    }
    return true;
}

static bool read_document(reading *r, size_t size, lb_err *err)
{
    if (size > LB_JSON_MAX_BYTES)
        return lb_fail(
            err, LB_EFORMAT,
            "%s has %zu bytes, more than the %zu MiB that one JSON document may have; JSON lines may be larger",
            r->name, size, LB_JSON_MAX_BYTES >> 20);
    size_t bom = size >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    json_t *doc = lb_json_parse(r->text + bom, size - bom, r->name, err);
    bool ok = doc && (each_of_document(r, doc, err) || r->enough);
    json_decref(doc);
    return ok;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcasecmp(s + n - k, end) == 0;
}

/* One document rather than lines: an array, or an object that the first line does not close, in a file that is not
 * called .jsonl. */
static bool is_document(const reading *r, size_t size)
{
    size_t at = size >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < size && strchr(" \t\r\n", r->text[at]) && r->text[at]) at++;
    if (at == size) return false;
    const char *nl = memchr(r->text + at, '\n', size - at);
    if (r->text[at] == '[') return true;
    if (r->text[at] != '{' || !ends_with(r->name, ".json")) return false;
    json_t *first = nl ? json_loadb(r->text + at, (size_t)(nl - r->text) - at, 0, NULL) : NULL;
    bool groups = first && is_groups(first), lines = first != NULL && !groups;
    json_decref(first);
    return !lines;
}

static bool read_all(reading *r, size_t size, lb_err *err)
{
    if (size >= 4 && memcmp(r->text, "PAR1", 4) == 0)
        return lb_fail(err, LB_EUNSUPPORTED, "%s is a Parquet file, which is not read here; make JSON lines of it: %s",
                       r->name, LB_PARQUET_HOW);
    if (ends_with(r->name, ".csv")) return lb_csv_each(r->text, size, r->name, each_record, r, err) || r->enough;
    if (is_document(r, size)) return read_document(r, size, err);
    return lb_jsonl_lines(r->text, size, each_line, r, err) || r->enough;
}

/* ---- files ---- */

static bool items_begin(lb_items *out, int n_path, reading *r, lb_err *err)
{
    memset(out, 0, sizeof *out);
    out->paths = lb_alloc((size_t)n_path, sizeof *out->paths, "the items", err);
    if (!out->paths) return false;
    out->n_path = n_path;
    r->clusters = json_object();
    return r->clusters || lb_fail_mem(err, 0, "the items");
}

static bool read_source(reading *r, int source, const char *text, size_t size, const char *name, lb_err *err)
{
    int before = r->out->n;
    r->source = source;
    r->text = text;
    r->name = name;
    r->path = r->out->paths[source];
    if (!read_all(r, size, err)) return false;
    return r->out->n > before || r->enough || (r->rows > 0 && (r->opt->from || r->opt->to || r->bench->variant)) ||
           lb_fail(err, LB_EFORMAT, "%s has no rows", name);
}

bool lb_items_parse(const lb_bench *b, int source, const char *text, size_t size, const char *name,
                    const lb_items_opt *opt, lb_items *out, lb_err *err)
{
    static const lb_items_opt none = {0};
    reading r = {.bench = b, .out = out, .opt = opt ? opt : &none};
    bool ok = items_begin(out, source + 1, &r, err);
    if (ok && !(out->paths[source] = strdup(name))) ok = lb_fail_mem(err, strlen(name) + 1, "the items");
    ok = ok && read_source(&r, source, text, size, name, err);
    json_decref(r.clusters);
    if (!ok) lb_items_free(out);
    return ok;
}

static char *find_source(const lb_source *s, const char *data_dir, lb_err *err)
{
    lb_buf tried = {0};
    for (int i = 0; s->files[i]; i++) {
        char *path = lb_path_join(s->whole_path ? "" : data_dir, s->files[i], err);
        if (!path || lb_file_exists(path)) {
            lb_buf_free(&tried);
            return path;
        }
        lb_buf_fmt(&tried, "%s%s", i ? ", " : "", s->files[i]);
        free(path);
    }
    if (s->whole_path) lb_fail(err, LB_EIO, "there is no file %.400s, which %s names", lb_buf_cstr(&tried), s->url);
    else
        lb_fail(err, LB_EIO, "no %s in '%.200s': none of %.400s; from %.300s", s->name, data_dir, lb_buf_cstr(&tried),
                s->url);
    lb_buf_free(&tried);
    return NULL;
}

/* The file of source i: data_dir itself where that is a file. A task file knows its own. */
char *lb_source_path(const lb_bench *b, int i, const char *data_dir, lb_err *err)
{
    if (!b->own && lb_file_exists(data_dir) && !lb_is_folder(data_dir)) {
        if (b->sources[1])
            return lb_fail_null(err, LB_EUSAGE,
                                "'%.200s' is a file, and %s needs more than one: --data wants the folder with them",
                                data_dir, b->name);
        char *copy = strdup(data_dir);
        if (!copy) lb_fail_mem(err, strlen(data_dir) + 1, "a path");
        return copy;
    }
    char *path = find_source(b->sources[i], data_dir, err);
    if (!path) lb_wrap(err, b->own ? "task %s" : "task %s (--data names the folder)", b->name);
    return path;
}

/* "2024-08" or "2024-08-01". */
static bool is_date(const char *s)
{
    static const char shape[] = "dddd-dd-dd";
    size_t n = strlen(s);
    if (n != 7 && n != 10) return false;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != '-') return false;
    int month = (s[5] - '0') * 10 + s[6] - '0', day = n == 10 ? (s[8] - '0') * 10 + s[9] - '0' : 1;
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool check_dates(const lb_items_opt *o, lb_err *err)
{
    const char *date[] = {o->from, o->to};
    for (int i = 0; i < 2; i++)
        if (date[i] && !is_date(date[i]))
            return lb_fail(err, LB_EUSAGE, "--%s '%.40s' is no date, wanted 2024-08-01 or 2024-08", i ? "to" : "from", date[i]);
    if (o->from && o->to && strncmp(o->from, o->to, strlen(o->to)) > 0)
        return lb_fail(err, LB_EUSAGE, "--from %s is after --to %s", o->from, o->to);
    return true;
}

bool lb_items_load(const lb_bench *b, const char *data_dir, const lb_items_opt *opt, lb_items *out, lb_err *err)
{
    static const lb_items_opt none = {0};
    int n_source = 0;
    while (b->sources[n_source]) n_source++;
    reading r = {.bench = b, .out = out, .opt = opt ? opt : &none};
    memset(out, 0, sizeof *out);
    bool ok = check_dates(r.opt, err) && items_begin(out, n_source, &r, err);
    for (int i = 0; ok && i < n_source && !r.enough; i++) {
        lb_map map = {0};
        ok = (out->paths[i] = lb_source_path(b, i, data_dir, err)) != NULL && lb_map_open(&map, out->paths[i], err) &&
             read_source(&r, i, (const char *)map.p, map.size, out->paths[i], err);
        lb_map_close(&map);
    }
    if (ok && out->n == 0)
        ok = lb_fail(err, LB_EFORMAT, "task %s: none of %d rows is within the dates asked for", b->name, r.rows);
    json_decref(r.clusters);
    if (!ok) lb_items_free(out);
    return ok;
}

void lb_items_free(lb_items *items)
{
    for (int i = 0; i < items->n; i++) item_free(&items->p[i]);
    for (int i = 0; i < items->n_path; i++) free(items->paths[i]);
    free(items->p);
    free(items->paths);
    memset(items, 0, sizeof *items);
}

void lb_code_tests_free(lb_code_tests *t)
{
    free(t->p);
    json_decref(t->doc);
    memset(t, 0, sizeof *t);
}

const char *lb_item_called(const lb_item *it, char out[80])
{
    if (*it->id) snprintf(out, 80, "%.79s", it->id);
    else snprintf(out, 80, "%d", it->number);
    return out;
}
