/* eval/rows.c – fields, prompts and graders that several benchmarks have. */
#include "eval/rows.h"
#include "base/buf.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

/* The field under the first key that is there and not null. */
static const json_t *find(const lb_row *row, const char *const *keys, const char **key)
{
    for (; *keys; keys++) {
        const json_t *v = json_object_get(row->json, *keys);
        if (!v || json_is_null(v)) continue;
        *key = *keys;
        return v;
    }
    return NULL;
}

static bool missing(const lb_row *row, const char *const *keys, lb_err *err)
{
    char list[200] = "";
    for (size_t n = 0; *keys && n < sizeof list - 40; keys++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s'%.30s'", n ? " or " : "", *keys);
    return lb_fail(err, LB_EFORMAT, "%s: %s is missing", row->where, list);
}

bool lb_row_text(const lb_row *row, const char *const *keys, const char **out, lb_err *err)
{
    const char *key;
    const json_t *v = find(row, keys, &key);
    if (!v) return missing(row, keys, err);
    if (!json_is_string(v))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted a string", row->where, key, lb_json_kind(v));
    *out = json_string_value(v);
    return **out || lb_fail(err, LB_EFORMAT, "%s: '%s' is empty", row->where, key);
}

/* A string, an integer or a real as text; false for anything else and for what does not fit. */
static bool scalar_text(const json_t *v, char *out, size_t size)
{
    int n;
    double x = json_number_value(v);
    if (json_is_string(v)) n = snprintf(out, size, "%s", json_string_value(v));
    else if (json_is_integer(v)) n = snprintf(out, size, "%lld", (long long)json_integer_value(v));
    else if (!json_is_real(v)) return false;
    else if (fabs(x) < 1e15 && x == floor(x)) n = snprintf(out, size, "%.0f", x);
    else n = snprintf(out, size, "%.17g", x);
    return n >= 0 && (size_t)n < size;
}

bool lb_row_scalar(const lb_row *row, const char *const *keys, char *out, size_t size, lb_err *err)
{
    const char *key;
    const json_t *v = find(row, keys, &key);
    if (!v) return missing(row, keys, err);
    if (!json_is_string(v) && !json_is_number(v))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted a string or a number", row->where, key,
                       lb_json_kind(v));
    if (!scalar_text(v, out, size))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is longer than %zu bytes", row->where, key, size - 1);
    return *out || lb_fail(err, LB_EFORMAT, "%s: '%s' is empty", row->where, key);
}

bool lb_row_id(const lb_row *row, const char *const *keys, lb_item *it, lb_err *err)
{
    const char *key;
    char number[40];
    const json_t *v = find(row, keys, &key);
    if (json_is_string(v)) return lb_item_set(&it->id, json_string_value(v), err);
    if (v && (!json_is_number(v) || !scalar_text(v, number, sizeof number)))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted a string or a number", row->where, key,
                       lb_json_kind(v));
    return lb_item_set(&it->id, v ? number : "", err);
}

bool lb_row_level(const lb_row *row, const char *key, lb_item *it, lb_err *err)
{
    int64_t level = 0;
    const json_t *v = json_object_get(row->json, key);
    if (json_is_string(v)) { /* "Level 3", or a CSV's "3" */
        const char *s = json_string_value(v);
        if (strncmp(s, "Level ", 6) == 0) s += 6;
        if (*s < '1' || *s > '5' || s[1])
            return lb_fail(err, LB_EFORMAT, "%s: '%.60s' is '%.40s', wanted 1 to 5", row->where, key,
                           json_string_value(v));
        level = *s - '0';
    } else if (!lb_json_opt_int(row->json, key, 0, 5, &level, row->where, err)) {
        return false;
    }
    it->level = (int)level;
    return true;
}

enum { MAX_NUMBER = 64 };

/* Sign, digits and point of s; false if there is anything else but "$", commas and white space around. */
static bool number_of(const char *s, char out[MAX_NUMBER])
{
    size_t n = 0, digits = 0, points = 0;
    while (isspace((unsigned char)*s)) s++;
    if (*s == '-') out[n++] = *s++;
    if (*s == '$') s++;
    for (; *s && n < MAX_NUMBER - 1; s++) {
        if (*s == ',' && digits && !points) continue;
        if (isdigit((unsigned char)*s)) digits++;
        else if (*s == '.') points++;
        else break;
        out[n++] = *s;
    }
    out[n] = 0;
    while (isspace((unsigned char)*s)) s++;
    return !*s && digits > 0 && points <= 1;
}

bool lb_row_gold_number(const lb_row *row, const char *const *keys, lb_item *it, lb_err *err)
{
    const char *key, *mark = NULL, *text;
    char bare[MAX_NUMBER], gold[MAX_NUMBER];
    const json_t *v = find(row, keys, &key);
    if (!v) return missing(row, keys, err);
    if (json_is_string(v)) {
        for (const char *p = json_string_value(v); (p = strstr(p, "####")) != NULL; p += 4) mark = p + 4;
        text = mark ? mark : json_string_value(v);
    } else if (json_is_number(v) && scalar_text(v, bare, sizeof bare)) {
        text = bare;
    } else {
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted a number or a string", row->where, key,
                       lb_json_kind(v));
    }
    if (!number_of(text, gold))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' %s '%.40s', wanted a number%s", row->where, key,
                       mark ? "has behind '####'" : "is", text, mark ? "" : " or a text with one behind '#### '");
    return lb_item_set(&it->gold, gold, err);
}

/* ---- prompts ---- */

const char lb_prompt_boxed_tail[] = "\n\nPlease reason step by step, and put your final answer within \\boxed{}.";

static bool take(lb_buf *b, lb_item *it, lb_err *err)
{
    bool ok = lb_buf_ok(b, "a prompt", err) && lb_item_set(&it->prompt, lb_buf_cstr(b), err);
    lb_buf_free(b);
    return ok;
}

bool lb_prompt_boxed(lb_item *it, const char *problem, lb_err *err)
{
    lb_buf b = {0};
    lb_buf_str(&b, problem);
    lb_buf_str(&b, lb_prompt_boxed_tail);
    return take(&b, it, err);
}

bool lb_prompt_choice(lb_item *it, const char *question, const char *const *options, int n, lb_err *err)
{
    lb_buf b = {0};
    lb_buf_str(
        &b, "Answer the following multiple choice question. The last line of your response should be of the following "
            "format: 'Answer: $LETTER' (without quotes) where LETTER is one of ");
    for (int i = 0; i < n; i++) lb_buf_byte(&b, (char)('A' + i));
    lb_buf_str(&b, ". Think step by step before answering.\n\n");
    lb_buf_str(&b, question);
    lb_buf_byte(&b, '\n');
    for (int i = 0; i < n; i++) {
        lb_buf_fmt(&b, "\n%c) ", 'A' + i);
        lb_buf_str(&b, options[i]);
    }
    return take(&b, it, err);
}

/* ---- graders ---- */

bool lb_row_grade_boxed(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_math(it->gold, &(lb_completion){.text = text, .in_thinking = g->in_thinking, .truncated = g->truncated},
                  out);
    return true;
}
