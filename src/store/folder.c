/* folder.c – the files of a model folder that are not weights. */
#include "store/folder.h"
#include "base/buf.h"
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool is_wanted(const char *name)
{
    static const char *const never[] = {".safetensors", ".bin", ".index.json", NULL};
    static const char *const not_these[] = {"config.json", "quantize_config.json", "quant_config.json",
                                            "hf_quant_config.json", NULL};
    static const char *const ends[] = {".json", ".jinja", ".txt", ".model", NULL};
    if (name[0] == '.') return false;
    for (int i = 0; never[i]; i++)
        if (ends_with(name, never[i])) return false;
    for (int i = 0; not_these[i]; i++)
        if (strcmp(name, not_these[i]) == 0) return false;
    for (int i = 0; ends[i]; i++)
        if (ends_with(name, ends[i])) return true;
    return strncmp(name, "LICENSE", 7) == 0 || strncmp(name, "NOTICE", 6) == 0;
}

static bool copy_entry(const char *from, const char *to, const char *name, lb_err *err)
{
    char *src = lb_path_join(from, name, err), *dst = lb_path_join(to, name, err);
    bool ok = src && dst && (lb_is_folder(src) || lb_file_copy(src, dst, err));
    free(src);
    free(dst);
    return ok;
}

bool lb_folder_copy(const char *from, const char *to, lb_err *err)
{
    DIR *d = opendir(from);
    if (!d) return lb_fail_io(err, "cannot list %s", from);
    bool ok = true;
    for (struct dirent *e; ok && (errno = 0, e = readdir(d)) != NULL;)
        if (is_wanted(e->d_name)) ok = copy_entry(from, to, e->d_name, err);
    if (ok && errno) ok = lb_fail_io(err, "cannot list %s", from);
    closedir(d);
    return ok;
}

/* ---- config.json as text ---- */

/* The text is known to be a valid JSON object here: these walk over it without checking. */
static size_t skip_space(const char *s, size_t i)
{
    while (s[i] == ' ' || s[i] == '\n' || s[i] == '\r' || s[i] == '\t') i++;
    return i;
}

static size_t skip_string(const char *s, size_t i)
{
    for (i++; s[i] != '"'; i++)
        if (s[i] == '\\') i++;
    return i + 1;
}

static size_t skip_value(const char *s, size_t i)
{
    int depth = 0;
    for (;;) {
        if (s[i] == '"') i = skip_string(s, i);
        else if (s[i] == '{' || s[i] == '[') depth++, i++;
        else if (depth && (s[i] == '}' || s[i] == ']')) depth--, i++;
        else if (depth) i++;
        else {
            while (!strchr(" \n\r\t,}]", s[i])) i++; /* a number or a word; the NUL stops it too */
            return i;
        }
        if (!depth && (s[i - 1] == '"' || s[i - 1] == '}' || s[i - 1] == ']')) return i;
    }
}

/* One top-level member: from after the '{' or ',' before it to the ',' or '}' behind it. */
typedef struct span {
    size_t begin, end;
    bool found;
} span;

static span find_member(const char *s, const char *key)
{
    size_t open = skip_space(s, 0), i = open + 1, n = strlen(key);
    while (s[skip_space(s, i)] == '"') {
        size_t k = skip_space(s, i), colon = skip_space(s, skip_string(s, k));
        size_t end = skip_space(s, skip_value(s, skip_space(s, colon + 1)));
        if (strncmp(s + k + 1, key, n) == 0 && s[k + 1 + n] == '"') return (span){i, end, true};
        if (s[end] != ',') break;
        i = end + 1;
    }
    return (span){0};
}

/* `"key": value`, indented by two as the rest of the file. */
static bool add_member(lb_buf *b, const char *key, const json_t *v, lb_err *err)
{
    char *text = json_dumps(v, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY);
    if (!text) return lb_fail_mem(err, 0, key);
    lb_buf_fmt(b, "\n  \"%s\": ", key);
    for (const char *p = text; *p; p++) {
        lb_buf_byte(b, *p);
        if (*p == '\n') lb_buf_str(b, "  ");
    }
    free(text);
    return true;
}

char *lb_json_set_text(const char *text, const char *key, const json_t *v, const char *where, lb_err *err)
{
    json_t *o = lb_json_parse(text, strlen(text), where, err);
    if (!o) return NULL;
    bool object = json_is_object(o), there = object && json_object_get(o, key);
    json_decref(o);
    if (!object) return lb_fail_null(err, LB_EFORMAT, "%s: not a JSON object", where);
    span m = find_member(text, key);
    if (there && !m.found) return lb_fail_null(err, LB_EUNSUPPORTED, "%s: '%s' is written with escapes", where, key);

    lb_buf b = {0};
    size_t last = strlen(text);
    while (text[last - 1] != '}') last--; /* the end of the object */
    last--;
    bool ok = true;
    if (m.found && v) {
        lb_buf_add(&b, text, m.begin);
        ok = add_member(&b, key, v, err);
        if (text[m.end] == '}') lb_buf_byte(&b, '\n');
        lb_buf_str(&b, text + m.end);
    } else if (m.found) { /* with the comma behind it, or else the one before */
        bool comma = text[m.end] == ',';
        size_t begin = m.begin - (!comma && text[m.begin - 1] == ',');
        lb_buf_add(&b, text, begin);
        if (!comma) lb_buf_byte(&b, '\n');
        lb_buf_str(&b, text + m.end + comma);
    } else if (v) {
        size_t end = last;
        while (strchr(" \n\r\t", text[end - 1])) end--;
        lb_buf_add(&b, text, end);
        if (text[end - 1] != '{') lb_buf_byte(&b, ',');
        ok = add_member(&b, key, v, err);
        lb_buf_byte(&b, '\n');
        lb_buf_str(&b, text + last);
    } else {
        lb_buf_str(&b, text);
    }
    if (ok) return lb_buf_take(&b, where, err);
    lb_buf_free(&b);
    return NULL;
}

bool lb_folder_write_config(const char *from, const char *to, const json_t *qc, lb_err *err)
{
    char *src = lb_path_join(from, "config.json", err), *dst = lb_path_join(to, "config.json", err);
    size_t n = 0;
    char *text = src && dst ? lb_file_read(src, LB_JSON_MAX_BYTES, &n, err) : NULL;
    bool whole = !text || strlen(text) == n || lb_fail(err, LB_EFORMAT, "%s: a NUL at byte %zu", src, strlen(text));
    char *out = text && whole ? lb_json_set_text(text, "quantization_config", qc, src, err) : NULL;
    bool ok = out && lb_write_file(dst, out, strlen(out), err);
    free(out);
    free(text);
    free(src);
    free(dst);
    return ok;
}
