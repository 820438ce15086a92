/* eval/remote_error.c – error bodies of the servers in use: vLLM, SGLang, llama.cpp, TGI, transformers, OpenAI and
 * proxies.
 *
 * Statuses are not enough: a prompt that does not fit is 400 for most, 422 for some and 500 for others. */
#include "eval/remote_error.h"
#include "text/utf8.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

void lb_remote_one_line(const char *s, size_t n, char *out, size_t cap)
{
    lb_buf clean = {0};
    lb_utf8_clean(&clean, s, n < 4 * cap ? n : 4 * cap);
    size_t k = 0;
    for (size_t i = 0; i < clean.n;) {
        unsigned char c = (unsigned char)clean.p[i];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        bool space = c <= ' ' || c == 0x7f;
        if (k + len >= cap) break;
        if (!space) memcpy(out + k, clean.p + i, len), k += len;
        else if (k && out[k - 1] != ' ') out[k++] = ' ';
        i += len;
    }
    while (k && out[k - 1] == ' ') k--;
    out[k] = 0;
    lb_buf_free(&clean);
}

/* {"detail": [{"loc": ["body", "top_k"], "msg": "…"}, …]} */
static void details(const json_t *list, lb_buf *b)
{
    size_t i, j;
    json_t *d, *part;
    json_array_foreach(list, i, d) {
        const char *msg = json_string_value(json_object_get(d, "msg"));
        lb_buf_str(b, i ? "; " : "");
        json_array_foreach(json_object_get(d, "loc"), j, part)
            if (json_is_string(part)) lb_buf_fmt(b, "%s%s", j ? "." : "", json_string_value(part));
        lb_buf_fmt(b, ": %s", msg ? msg : "refused");
    }
}

void lb_remote_error_json(const json_t *v, char *out, size_t cap)
{
    static const char *const keys[] = {"message", "detail", "error", "msg"};
    lb_buf b = {0};
    const json_t *e = json_object_get(v, "error"), *found = NULL;
    if (!json_is_object(e)) e = json_is_object(v) ? v : NULL;
    if (json_is_string(v)) found = v;
    for (int i = 0; e && !found && i < 4; i++) {
        const json_t *k = json_object_get(e, keys[i]);
        if (json_is_string(k) || json_array_size(k)) found = k;
    }
    if (json_is_array(found)) details(found, &b);
    else if (found) lb_buf_add(&b, json_string_value(found), json_string_length(found));
    const json_t *param = json_object_get(e, "param"), *code = json_object_get(e, "code"),
                 *type = json_object_get(e, "type");
    const char *mark = json_is_string(code)   ? json_string_value(code)
                       : json_is_string(type) ? json_string_value(type)
                                              : NULL;
    if (json_is_string(param) && *json_string_value(param)) lb_buf_fmt(&b, " (field %s)", json_string_value(param));
    if (mark && *mark) lb_buf_fmt(&b, " [%s]", mark);
    lb_remote_one_line(lb_buf_cstr(&b), b.n, out, cap);
    lb_buf_free(&b);
}

void lb_remote_error_text(const char *body, size_t n, char *out, size_t cap)
{
    json_t *v = json_loadb(body, n, JSON_DECODE_ANY, NULL);
    out[0] = 0;
    if (v) lb_remote_error_json(v, out, cap);
    if (!*out) lb_remote_one_line(body, n, out, cap);
    json_decref(v);
}

static bool has(const char *text, const char *words)
{
    size_t n = strlen(words);
    for (; *text; text++)
        if (strncasecmp(text, words, n) == 0) return true;
    return false;
}

static bool about_context(const char *text)
{
    static const char *const marks[] = {"context length",       "context_length",   "maximum context",
                                        "context size",         "context_size",     "context window",
                                        "max_model_len",        "max_total_tokens", "max_new_tokens` must be <=",
                                        "longer than the model"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (has(text, marks[i])) return true;
    return false;
}

lb_remote_fault lb_remote_error_kind(int status, const char *text)
{
    if (status == 429 || status == 503 || status == 529) return LB_REMOTE_BUSY;
    if (about_context(text)) return LB_REMOTE_CONTEXT;
    if (status >= 500 || status < 300 || status == 408 || status == 425) return LB_REMOTE_SERVER;
    return LB_REMOTE_REFUSED;
}

bool lb_remote_error_fatal(int status, const char *text)
{
    if (status == 429) return has(text, "insufficient_quota");
    return (status >= 300 && status < 400) || (status >= 401 && status <= 405);
}

bool lb_remote_error_names(const char *text, const char *field)
{
    size_t n = strlen(field);
    for (const char *p = text; (p = strstr(p, field)) != NULL; p += n) {
        bool before = p > text && (isalnum((unsigned char)p[-1]) || p[-1] == '_');
        bool after = isalnum((unsigned char)p[n]) || p[n] == '_';
        if (!before && !after) return true;
    }
    return false;
}
