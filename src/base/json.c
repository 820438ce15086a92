/* base/json.c – Jansson with limits. */
#include "base/json.h"
#include "base/buf.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

/* Brackets outside strings, counted before the parser recurses. */
static bool shallow(const char *s, size_t n)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (quoted) {
            if (c == '\\') i++;
            else if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > LB_JSON_DEPTH) return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

json_t *lb_json_parse(const char *text, size_t n, const char *where, lb_err *err)
{
    if (!shallow(text, n))
        return lb_fail_null(err, LB_EFORMAT, "%s: JSON is nested deeper than %d levels", where, LB_JSON_DEPTH);
    json_error_t je;
    size_t flags = JSON_REJECT_DUPLICATES;
    json_t *v = json_loadb(text, n, flags, &je);
    if (!v && json_error_code(&je) == json_error_numeric_overflow)
        v = json_loadb(text, n, flags | JSON_DECODE_INT_AS_REAL, &je);
    if (v) return v;
    if (json_error_code(&je) == json_error_out_of_memory) {
        lb_fail_mem(err, n, where);
        return NULL;
    }
    return lb_fail_null(err, LB_EFORMAT, "%s: not valid JSON: %s (line %d, column %d)", where, je.text, je.line,
                        je.column);
}

json_t *lb_json_load(const char *path, lb_err *err)
{
    size_t n;
    char *text = lb_file_read(path, LB_JSON_MAX_BYTES, &n, err);
    if (!text) return NULL;
    json_t *v = lb_json_parse(text, n, path, err);
    free(text);
    return v;
}

const char *lb_json_kind(const json_t *v)
{
    if (!v) return "missing";
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a real number";
    case JSON_NULL: return "null";
    default: return "a boolean";
    }
}

static const json_t *find(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v && json_is_null(v) ? NULL : v;
}

static bool missing(const char *key, const char *where, lb_err *err)
{
    return lb_fail(err, LB_EFORMAT, "%s: '%s' is missing", where, key);
}

bool lb_json_opt_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *out, const char *where,
                     lb_err *err)
{
    const json_t *v = find(o, key);
    if (!v) return true;
    int64_t i;
    if (json_is_integer(v)) {
        i = json_integer_value(v);
    } else if (json_is_real(v) && json_real_value(v) >= -9e15 && json_real_value(v) <= 9e15 &&
               json_real_value(v) == (double)(int64_t)json_real_value(v)) {
        i = (int64_t)json_real_value(v); /* 1e6 is how some configs write a million */
    } else {
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted an integer", where, key, lb_json_kind(v));
    }
    if (i < min || i > max)
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %lld, wanted %lld to %lld", where, key, (long long)i,
                       (long long)min, (long long)max);
    *out = i;
    return true;
}

bool lb_json_opt_real(const json_t *o, const char *key, double min, double max, double *out, const char *where,
                      lb_err *err)
{
    const json_t *v = find(o, key);
    if (!v) return true;
    if (!json_is_number(v))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted a number", where, key, lb_json_kind(v));
    double d = json_number_value(v);
    if (!(d >= min && d <= max))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %g, wanted %g to %g", where, key, d, min, max);
    *out = d;
    return true;
}

bool lb_json_opt_bool(const json_t *o, const char *key, bool *out, const char *where, lb_err *err)
{
    const json_t *v = find(o, key);
    if (!v) return true;
    if (!json_is_boolean(v))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted true or false", where, key, lb_json_kind(v));
    *out = json_is_true(v);
    return true;
}

bool lb_json_opt_str(const json_t *o, const char *key, const char **out, const char *where, lb_err *err)
{
    const json_t *v = find(o, key);
    if (!v) return true;
    if (!json_is_string(v))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted a string", where, key, lb_json_kind(v));
    *out = json_string_value(v);
    return true;
}

bool lb_json_get_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *out, const char *where,
                     lb_err *err)
{
    return find(o, key) ? lb_json_opt_int(o, key, min, max, out, where, err) : missing(key, where, err);
}

bool lb_json_get_real(const json_t *o, const char *key, double min, double max, double *out, const char *where,
                      lb_err *err)
{
    return find(o, key) ? lb_json_opt_real(o, key, min, max, out, where, err) : missing(key, where, err);
}

bool lb_json_get_str(const json_t *o, const char *key, const char **out, const char *where, lb_err *err)
{
    return find(o, key) ? lb_json_opt_str(o, key, out, where, err) : missing(key, where, err);
}

bool lb_json_keys(const json_t *o, const char *const *keys, const char *where, lb_err *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    json_object_foreach ((json_t *)o, key, v) {
        int i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0) i++;
        if (keys[i]) continue;
        lb_buf known = {0};
        for (i = 0; keys[i]; i++) lb_buf_fmt(&known, "%s%s", i ? ", " : "", keys[i]);
        lb_fail(err, LB_EFORMAT, "%s: '%.80s' is not a key here; there are %s", where, key, lb_buf_cstr(&known));
        lb_buf_free(&known);
        return false;
    }
    return true;
}

bool lb_json_save(const char *path, const json_t *v, lb_err *err)
{
    char *text = json_dumps(v, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    if (!text) return lb_fail_mem(err, 0, path);
    size_t n = strlen(text);
    text[n] = '\n'; /* the NUL's place */
    bool ok = lb_write_file(path, text, n + 1, err);
    free(text);
    return ok;
}
