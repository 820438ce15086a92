/* eval/taskfile.c – a benchmark that a few lines of JSON describe (docs/benchmarks.md has the table):
 *
 *     {"name": "mine", "file": "mine.jsonl", "fields": {"problem": "question", "answer": "answer", "id": "id"},
 *      "template": "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}.",
 *      "grader": "math", "max_new": 32768, "version": 1}
 *
 * A template has {role} or {key of the row}; {{ and }} are braces, {} is left as it is. It may not show the answer. */
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/rows.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTION = 26 };
typedef enum grader { G_MATH, G_NUMBER, G_LETTER, G_TEXT, G_CODE, N_GRADER } grader;
static const char *const grader_names[N_GRADER] = {"math", "number", "letter", "text", "code"};

typedef struct task_file {
    lb_bench bench;
    lb_source source;
    const lb_source *sources[2];
    const char *files[2];
    char *path;                      /* owned: the data file */
    json_t *doc;                     /* owned: what the strings here are borrowed from */
    const char *prompt, *problem, *answer, *id, *level;  /* keys of the rows; NULL: none */
    const json_t *options;           /* one key of an array, or an array of keys; NULL: none */
    const char *template;            /* NULL: the grader's own */
    grader grader;
    lb_answer_form form;
    int64_t first_option;            /* the number of the first option where answers are numbers; -1: they are not */
} task_file;

extern const lb_bench lb_bench_code;     /* programs with tests are judged as its are */

/* ---- options ---- */

typedef struct options {
    const char *p[MAX_OPTION];
    int n;
} options;

static bool add_option(const lb_row *row, const json_t *v, const char *key, options *o, lb_err *err)
{
    if (!json_is_string(v) || !*json_string_value(v))
        return lb_fail(err, LB_EFORMAT, "%s: option %d of '%.60s' is %s, wanted text", row->where, o->n + 1, key,
                       json_is_string(v) ? "empty" : lb_json_kind(v));
    if (o->n == MAX_OPTION) return lb_fail(err, LB_EFORMAT, "%s: more than %d options", row->where, MAX_OPTION);
    o->p[o->n++] = json_string_value(v);
    return true;
}

static bool get_options(const task_file *t, const lb_row *row, options *o, lb_err *err)
{
    const json_t *v;
    size_t i;
    o->n = 0;
    if (!t->options) return true;
    if (json_is_array(t->options)) {
        json_array_foreach (t->options, i, v)
            if (!add_option(row, json_object_get(row->json, json_string_value(v)), json_string_value(v), o, err))
                return false;
    } else {
        const char *key = json_string_value(t->options);
        const json_t *list = json_object_get(row->json, key);
        if (!json_is_array(list))
            return lb_fail(err, LB_EFORMAT, "%s: '%.60s' is %s, wanted an array of options", row->where, key,
                           lb_json_kind(list));
        json_array_foreach (list, i, v)
            if (!add_option(row, v, key, o, err)) return false;
    }
    return o->n >= 2 || lb_fail(err, LB_EFORMAT, "%s: %d options, wanted 2 to %d", row->where, o->n, MAX_OPTION);
}

/* ---- templates ---- */

/* The placeholder at s, which begins with '{': its name [*n] and what follows it. False if it is none ("{}", "{ x"). */
static bool placeholder(const char *s, const char **name, size_t *n, const char **after)
{
    const char *e = s + 1;
    while (*e && *e != '{' && *e != '}' && *e != '\n') e++;
    if (*e != '}' || e == s + 1) return false;
    *name = s + 1, *n = (size_t)(e - s - 1), *after = e + 1;
    return true;
}

static bool is(const char *name, size_t n, const char *word)
{
    return word && strlen(word) == n && memcmp(name, word, n) == 0;
}

static void put_options(lb_buf *b, const options *o)
{
    for (int i = 0; i < o->n; i++) {
        lb_buf_fmt(b, "%s%c) ", i ? "\n" : "", 'A' + i);
        lb_buf_str(b, o->p[i]);
    }
}

static bool put_field(const task_file *t, const lb_row *row, const options *o, const char *name, size_t n, lb_buf *b,
                      lb_err *err)
{
    char key[128], number[64];
    if (is(name, n, "options") && t->options) return put_options(b, o), true;
    if (n == 1 && isupper((unsigned char)*name) && *name - 'A' < o->n) return lb_buf_str(b, o->p[*name - 'A']), true;
    snprintf(key, sizeof key, "%.*s", n > 100 ? 100 : (int)n, name);
    const char *at = is(name, n, "problem") && t->problem ? t->problem : is(name, n, "id") && t->id ? t->id : key;
    const json_t *v = json_object_get(row->json, at);
    if (json_is_string(v)) return lb_buf_str(b, json_string_value(v)), true;
    if (json_is_number(v))
        return lb_row_scalar(row, (const char *const[]){at, NULL}, number, sizeof number, err) &&
               (lb_buf_str(b, number), true);
    return lb_fail(err, LB_EFORMAT, "%s: '%.100s' is %s, and the template shows it", row->where, at, lb_json_kind(v));
}

static bool fill(const task_file *t, const lb_row *row, const options *o, lb_buf *b, lb_err *err)
{
    const char *name, *after;
    size_t n;
    for (const char *s = t->template; *s;) {
        if ((s[0] == '{' && s[1] == '{') || (s[0] == '}' && s[1] == '}')) {
            lb_buf_byte(b, *s);
            s += 2;
        } else if (*s == '{' && placeholder(s, &name, &n, &after)) {
            if (!put_field(t, row, o, name, n, b, err)) return false;
            s = after;
        } else {
            lb_buf_byte(b, *s++);
        }
    }
    return true;
}

/* Refuses what could never be filled, and what would give the answer away. */
static bool check_template(const task_file *t, const char *where, lb_err *err)
{
    const char *name, *after;
    size_t n;
    bool any = false;
    for (const char *s = t->template; *s; s++) {
        if ((s[0] == '{' && s[1] == '{') || (s[0] == '}' && s[1] == '}')) {
            s++;
            continue;
        }
        if (*s != '{' || !placeholder(s, &name, &n, &after)) continue;
        if (is(name, n, "answer") || is(name, n, t->answer))
            return lb_fail(err, LB_EFORMAT, "%s: the 'template' shows {%.*s}, the answer", where,
                           (int)(n > 80 ? 80 : n), name);
        if (is(name, n, "options") && !t->options)
            return lb_fail(err, LB_EFORMAT, "%s: the 'template' has {options}, and 'fields' has none", where);
        any = true;
        s = after - 1;
    }
    return any || lb_fail(err, LB_EFORMAT, "%s: the 'template' shows no field, such as {problem}", where);
}

/* ---- items ---- */

static bool make_prompt(const task_file *t, const lb_row *row, lb_item *it, const options *o, lb_err *err)
{
    const char *text = NULL;
    lb_buf b = {0};
    if (!t->template) {
        if (!lb_row_text(row, (const char *const[]){t->prompt ? t->prompt : t->problem, NULL}, &text, err))
            return false;
        if (t->prompt || t->grader == G_TEXT || t->grader == G_CODE) return lb_item_set(&it->prompt, text, err);
        return t->grader == G_LETTER ? lb_prompt_choice(it, text, o->p, o->n, err) : lb_prompt_boxed(it, text, err);
    }
    bool ok = fill(t, row, o, &b, err) && lb_buf_ok(&b, "a prompt", err);
    if (ok && b.n == 0) ok = lb_fail(err, LB_EFORMAT, "%s: the prompt is empty", row->where);
    ok = ok && lb_item_set(&it->prompt, lb_buf_cstr(&b), err);
    lb_buf_free(&b);
    return ok;
}

/* A letter, the text of one option, or its number. */
static bool letter_gold(const task_file *t, const lb_row *row, lb_item *it, const options *o, lb_err *err)
{
    const json_t *v = json_object_get(row->json, t->answer);
    const char *s = json_string_value(v);
    int at = -1, same = 0, n = o->n ? o->n : MAX_OPTION;
    bool letter = s && isalpha((unsigned char)*s) && !s[1];
    if (letter) at = toupper((unsigned char)*s) - 'A', same = 1;
    for (int i = 0; s && !letter && i < o->n; i++)
        if (strcmp(o->p[i], s) == 0) at = i, same++;
    if (json_is_integer(v) && t->first_option >= 0) {
        json_int_t k = json_integer_value(v);
        if (k >= t->first_option && k - t->first_option < n) at = (int)(k - t->first_option), same = 1;
    }
    if (same != 1 || at >= n)
        return lb_fail(err, LB_EFORMAT, "%s: '%.60s' is %s%.40s%s, wanted a letter from A to %c%s", row->where,
                       t->answer, s ? "'" : lb_json_kind(v), s ? s : "", s ? "'" : "", 'A' + n - 1,
                       json_is_integer(v) && t->first_option < 0
                           ? " (or 'first_option' in the task file: the number of the first)"
                       : o->n ? " or the text of one option"
                              : "");
    return lb_item_set(&it->gold, (const char[]){(char)('A' + at), 0}, err);
}

static bool code_gold(const lb_row *row, lb_item *it, lb_err *err)
{
    lb_code_tests tests;
    lb_item as = {.row = (json_t *)row->json, .id = (char *)row->where};
    if (!lb_item_set(&it->gold, "", err) || !lb_bench_code.tests(&as, &tests, err)) return false;
    it->hash = lb_item_hash(it);
    for (int i = 0; i < tests.n; i++) {
        it->hash = lb_hash_bytes(tests.p[i].input, strlen(tests.p[i].input) + 1, it->hash);
        it->hash = lb_hash_bytes(tests.p[i].output, strlen(tests.p[i].output) + 1, it->hash);
    }
    lb_code_tests_free(&tests);
    return true;
}

static bool text_gold(const task_file *t, const lb_row *row, lb_item *it, lb_err *err)
{
    const char *const key[] = {t->answer, NULL};
    const json_t *v = json_object_get(row->json, t->answer);
    char number[64];
    const char *s;
    if (json_is_number(v))
        return lb_row_scalar(row, key, number, sizeof number, err) && lb_item_set(&it->gold, number, err);
    return lb_row_text(row, key, &s, err) && lb_item_set(&it->gold, s, err);
}

static bool item(const lb_bench *b, const lb_row *row, lb_item *it, bool *skip, lb_err *err)
{
    (void)skip;
    const task_file *t = b->own;
    options o;
    if (!get_options(t, row, &o, err) || !lb_row_id(row, (const char *const[]){t->id, NULL}, it, err) ||
        (t->level && !lb_row_level(row, t->level, it, err)) || !make_prompt(t, row, it, &o, err))
        return false;
    switch (t->grader) {
    case G_LETTER: return letter_gold(t, row, it, &o, err);
    case G_NUMBER: return lb_row_gold_number(row, (const char *const[]){t->answer, NULL}, it, err);
    case G_CODE: return code_gold(row, it, err);
    default: return text_gold(t, row, it, err);
    }
}

static bool grade(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    const task_file *t = it->bench->own;
    lb_completion c = {.text = text, .in_thinking = g->in_thinking, .truncated = g->truncated, .form = t->form};
    if (t->grader == G_CODE) return lb_bench_code.grade(it, text, g, out, err);
    if (t->grader == G_TEXT) lb_grade_text(it->gold, &c, out);
    else if (t->grader != G_LETTER) lb_grade_math(it->gold, &c, out);
    else {
        options o = {{0}, 0};
        lb_row row = {.json = it->row, .where = it->id};
        if (!get_options(t, &row, &o, err)) return false;
        lb_grade_letter(it->gold, &c, o.n ? o.n : MAX_OPTION, out);
    }
    return true;
}

/* ---- the file ---- */

static bool read_name(task_file *t, const char *where, lb_err *err)
{
    const char *name;
    if (!lb_json_get_str(t->doc, "name", &name, where, err)) return false;
    if (!lb_is_plain_name(name) || strchr(name, ',') || strlen(name) > 60)
        return lb_fail(err, LB_EFORMAT, "%s: 'name' is '%.80s', wanted a plain name without '/' and ','", where, name);
    for (int i = 0; lb_benches[i]; i++)
        if (strcmp(lb_benches[i]->name, name) == 0 || strcmp(lb_benches[i]->suite, name) == 0)
            return lb_fail(err, LB_EFORMAT, "%s: 'name' is '%s', which lowbit has already", where, name);
    t->bench.name = t->bench.like = name;
    return lb_json_opt_str(t->doc, "like", &t->bench.like, where, err);
}

static bool read_options(task_file *t, const json_t *fields, const char *where, lb_err *err)
{
    const json_t *v = json_object_get(fields, "options"), *k;
    size_t i;
    if (!v || json_is_null(v)) return true;
    bool ok = json_is_string(v) || (json_is_array(v) && json_array_size(v) >= 2 && json_array_size(v) <= MAX_OPTION);
    if (json_is_array(v))
        json_array_foreach (v, i, k) ok = ok && json_is_string(k);
    t->options = v;
    return ok || lb_fail(err, LB_EFORMAT, "%s: fields.options is %s, wanted the key of an array, or 2 to %d keys",
                         where, lb_json_kind(v), MAX_OPTION);
}

static bool read_fields(task_file *t, const char *where, lb_err *err)
{
    static const char *const keys[] = {"prompt", "problem", "answer", "id", "level", "options", NULL};
    const json_t *f = json_object_get(t->doc, "fields");
    char at[640];
    if (!json_is_object(f))
        return lb_fail(err, LB_EFORMAT, "%s: 'fields' is %s, wanted an object", where, lb_json_kind(f));
    snprintf(at, sizeof at, "%.600s: fields", where);
    t->id = "id";
    if (!lb_json_keys(f, keys, at, err) || !lb_json_opt_str(f, "prompt", &t->prompt, at, err) ||
        !lb_json_opt_str(f, "problem", &t->problem, at, err) || !lb_json_opt_str(f, "answer", &t->answer, at, err) ||
        !lb_json_opt_str(f, "id", &t->id, at, err) || !lb_json_opt_str(f, "level", &t->level, at, err) ||
        !read_options(t, f, where, err))
        return false;
    if (t->grader != G_CODE && !t->answer) return lb_fail(err, LB_EFORMAT, "%s: fields has no 'answer'", where);
    if (!t->template && !t->prompt == !t->problem)
        return lb_fail(err, LB_EFORMAT, "%s: fields wants either 'prompt', the whole of it, or 'problem'", where);
    if (t->template && t->prompt)
        return lb_fail(err, LB_EFORMAT, "%s: fields has 'prompt', the whole of it, and there is a 'template' too",
                       where);
    if (t->grader == G_LETTER && !t->template && !t->prompt && !t->options)
        return lb_fail(err, LB_EFORMAT, "%s: fields has no 'options' for the prompt to show", where);
    return !t->template || check_template(t, where, err);
}

static bool read_how(task_file *t, const char *where, lb_err *err)
{
    const char *g = "math", *form = NULL;
    int64_t max_new = 32768, version = 1;
    t->first_option = -1;
    if (!lb_json_get_str(t->doc, "grader", &g, where, err) || !lb_json_opt_str(t->doc, "form", &form, where, err) ||
        !lb_json_opt_str(t->doc, "template", &t->template, where, err) ||
        !lb_json_opt_int(t->doc, "max_new", 1, 1 << 28, &max_new, where, err) ||
        !lb_json_opt_int(t->doc, "version", 1, 1 << 30, &version, where, err) ||
        !lb_json_opt_int(t->doc, "first_option", 0, 1, &t->first_option, where, err))
        return false;
    while (t->grader < N_GRADER && strcmp(grader_names[t->grader], g) != 0) t->grader++;
    if (t->grader == N_GRADER)
        return lb_fail(err, LB_EFORMAT, "%s: 'grader' is '%.40s'; there are math, number, letter, text, code", where,
                       g);
    t->form = t->grader == G_LETTER ? LB_FORM_LINE : LB_FORM_BOX;
    if (form && strcmp(form, "box") != 0 && strcmp(form, "line") != 0)
        return lb_fail(err, LB_EFORMAT, "%s: 'form' is '%.40s', wanted 'box' or 'line'", where, form);
    if (form) t->form = strcmp(form, "box") == 0 ? LB_FORM_BOX : LB_FORM_LINE;
    t->bench.max_new = (int)max_new;
    t->bench.version = (int)version;
    t->bench.runs_code = t->grader == G_CODE;
    t->bench.tests = t->grader == G_CODE ? lb_bench_code.tests : NULL;
    return true;
}

/* The data file: beside the task file, unless its path is absolute. */
static bool read_path(task_file *t, const char *path, lb_err *err)
{
    const char *file, *slash = strrchr(path, '/');
    if (!lb_json_get_str(t->doc, "file", &file, path, err)) return false;
    if (!*file) return lb_fail(err, LB_EFORMAT, "%s: 'file' is empty", path);
    lb_buf b = {0};
    if (*file != '/' && slash) lb_buf_add(&b, path, (size_t)(slash - path) + 1);
    else if (*file != '/') lb_buf_str(&b, "./");
    lb_buf_str(&b, file);
    return (t->path = lb_buf_take(&b, "a path", err)) != NULL;
}

lb_bench *lb_bench_from_file(const char *path, lb_err *err)
{
    static const char *const keys[] = {"name", "like",    "file",    "fields",       "template", "grader",
                                       "form", "max_new", "version", "first_option", NULL};
    task_file *t = lb_alloc(1, sizeof *t, "a task", err);
    if (!t) return NULL;
    t->bench = (lb_bench){.suite = "file", .prompt_from = path, .item = item, .grade = grade, .own = t};
    t->doc = lb_json_load(path, err);
    bool ok = t->doc != NULL;
    if (ok && !json_is_object(t->doc))
        ok = lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", path, lb_json_kind(t->doc));
    ok = ok && lb_json_keys(t->doc, keys, path, err) && read_name(t, path, err) && read_how(t, path, err) &&
         read_fields(t, path, err) && read_path(t, path, err);
    if (!ok) {
        lb_bench_free(&t->bench);
        return NULL;
    }
    t->files[0] = t->path;
    t->sources[0] = &t->source;
    t->source = (lb_source){
        .name = t->bench.name, .files = t->files, .whole_path = true, .url = "the task file", .licence = "yours"};
    t->bench.sources = t->sources;
    t->bench.prompt_from = t->template ? "the task file's template"
                           : t->prompt ? "the rows"
                                       : "lowbit's own for the grader";
    return &t->bench;
}

void lb_bench_free(lb_bench *b)
{
    task_file *t = b ? b->own : NULL;
    if (!t) return;
    free(t->path);
    json_decref(t->doc);
    free(t);
}
