/* eval/remote.c – finding the server, its model and its identity. */
#include "eval/remote.h"
#include "base/cpu.h"
#include "eval/remote_error.h"
#include "eval/remote_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_ANSWER = 4 << 20, MAX_URL = 2048 };
static const double PROBE_S = 30;        /* of silence, while nothing is generated */

/* ---- options ---- */

static void defaults(lb_remote_opt *o)
{
    if (o->n_parallel <= 0) o->n_parallel = 16;
    if (!(o->connect_s > 0)) o->connect_s = 10;
    if (!(o->timeout_s > 0)) o->timeout_s = 600;
    if (o->max_retries == 0) o->max_retries = 6;
    if (o->max_retries < 0) o->max_retries = 0;
    if (!(o->backoff_s > 0)) o->backoff_s = 1;
    if (!(o->backoff_max_s > 0)) o->backoff_max_s = 60;
    if (!(o->retry_after_max_s > 0)) o->retry_after_max_s = 900;
    if (o->max_failed <= 0) o->max_failed = 8;
    if (o->max_reply_bytes == 0) o->max_reply_bytes = (size_t)64 << 20;
}

static bool ends_in(const char *s, size_t n, const char *tail)
{
    size_t k = strlen(tail);
    return n >= k && memcmp(s + n - k, tail, k) == 0;
}

/* "v1", "v1beta", "v3": the last part of a path that is an API's version. */
static bool is_versioned(const char *s, size_t n)
{
    size_t i = n;
    while (i > 0 && s[i - 1] != '/') i--;
    return n - i >= 2 && s[i] == 'v' && s[i + 1] >= '0' && s[i + 1] <= '9';
}

/* Fills base, root and chat. A URL without a version gets /v1, except one that names chat/completions itself. */
static bool set_url(lb_remote *r, const char *url, lb_err *err)
{
    static const char CHAT[] = "/chat/completions";
    if (!url || !*url) return lb_fail(err, LB_EUSAGE, "no URL of a server, such as http://127.0.0.1:8000");
    size_t n = strlen(url), host = strncasecmp(url, "http://", 7) == 0    ? 7
                                   : strncasecmp(url, "https://", 8) == 0 ? 8
                                                                          : 0;
    if (n > MAX_URL) return lb_fail(err, LB_EUSAGE, "the server's URL has more than %d characters", MAX_URL);
    if (!host) return lb_fail(err, LB_EUSAGE, "'%s' is not a server's URL; it begins with http:// or https://", url);
    size_t host_n = strcspn(url + host, "/");
    if (memchr(url + host, '@', host_n))
        return lb_fail(
            err, LB_EUSAGE,
            "the server's URL has a user or password in it; a key comes from the environment (--api-key-env)");
    if (host_n == 0 || url[host + strcspn(url + host, "?# \\\"<>")])
        return lb_fail(err, LB_EUSAGE, "'%s' is not a server's URL; wanted http://HOST:PORT, with or without /v1", url);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)url[i] <= ' ' || url[i] == 0x7f)
            return lb_fail(err, LB_EUSAGE, "the server's URL has a control character in it");
    while (n > host + 1 && url[n - 1] == '/') n--;
    bool whole = ends_in(url, n, CHAT);
    if (whole) n -= sizeof CHAT - 1;
    lb_buf base = {0}, root = {0}, chat = {0};
    bool versioned = is_versioned(url + host, n - host) && n > host + host_n;
    lb_buf_add(&base, url, n);
    if (!versioned && !whole) lb_buf_str(&base, "/v1");
    size_t cut = n;
    if (versioned) while (cut > 0 && url[cut - 1] != '/') cut--;
    lb_buf_add(&root, url, versioned ? cut - 1 : n);
    lb_buf_fmt(&chat, "%s%s", lb_buf_cstr(&base), CHAT);
    r->base = lb_buf_take(&base, "the URL", err);
    r->root = lb_buf_take(&root, "the URL", err);
    r->chat = lb_buf_take(&chat, "the URL", err);
    return r->base && r->root && r->chat;
}

static bool check_key(const char *key, lb_err *err)
{
    for (const char *p = key; p && *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return lb_fail(err, LB_EUSAGE,
                           "the API key has a character in it that no key has (a space, a line end, …)");
    return true;
}

/* ---- asking ---- */

typedef struct answer {
    lb_http_call call;
    lb_buf body;
    bool over;
} answer;

static lb_http_more on_bytes(lb_http_call *c, const char *p, size_t n)
{
    answer *a = c->user;
    if (n > MAX_ANSWER - a->body.n) return LB_HTTP_STOP;
    lb_buf_add(&a->body, p, n);
    return LB_HTTP_GO;
}

static void on_end(lb_http_call *c) { ((answer *)c->user)->over = true; }

bool lb_remote_stopped(const lb_remote *r, const volatile sig_atomic_t *stop, lb_err *err)
{
    if (!(stop && *stop) && !(r->o.stop && *r->o.stop)) return false;
    lb_fail(err, LB_ESTOPPED, "stopped; finished samples are kept, the same command continues");
    return true;
}

double lb_remote_wait_s(const lb_remote_opt *o, uint64_t who, int tries)
{
    double w = o->backoff_s;
    for (int i = 1; i < tries && w < o->backoff_max_s; i++) w *= 2;
    if (w > o->backoff_max_s) w = o->backoff_max_s;
    return w * (0.5 + 0.5 * lb_rng_uniform(lb_rng_key_of(0, who, 0), (uint64_t)tries));
}

void lb_remote_hide_key(const lb_remote *r, char *text)
{
    size_t n = r->key ? strlen(r->key) : 0;
    if (n < 4) return; /* such a key hides nothing, and would be found in any text */
    for (char *p = text; (p = strstr(p, r->key)) != NULL; p += n) memset(p, '*', n);
}

lb_remote_fault lb_remote_call_fault(const lb_remote *r, const lb_http_call *c, const lb_buf *body, char *why,
                                     size_t cap)
{
    static const lb_remote_fault faults[] = {[LB_HTTP_CONNECT] = LB_REMOTE_CONNECT,
                                             [LB_HTTP_DROPPED] = LB_REMOTE_DROPPED,
                                             [LB_HTTP_STALLED] = LB_REMOTE_STALLED,
                                             [LB_HTTP_BROKEN] = LB_REMOTE_BROKEN};
    char text[600];
    if (c->status < 200 || (c->status < 300 && c->end != LB_HTTP_REJECTED)) {
        snprintf(why, cap, "%s", c->why);
        return c->end == LB_HTTP_WHOLE || c->end == LB_HTTP_REJECTED ? LB_REMOTE_BROKEN : faults[c->end];
    }
    if (c->status < 300) {
        snprintf(why, cap, "the reply is longer than %d bytes", MAX_ANSWER);
        return LB_REMOTE_TOO_LARGE;
    }
    lb_remote_error_text(lb_buf_cstr(body), body->n, text, sizeof text);
    lb_remote_hide_key(r, text);
    if (c->status < 400)
        snprintf(why, cap, "HTTP %d: redirected to %s; if that is the server, give its URL", c->status,
                 *c->location ? c->location : "nowhere");
    else snprintf(why, cap, "HTTP %d%s%s", c->status, *text ? ": " : "", text);
    return lb_remote_error_kind(c->status, text);
}

static bool wait_for(lb_remote *r, lb_http *http, const bool *over, double until, lb_err *err)
{
    while (!(over && *over) && (over || lb_now_s() < until)) {
        double left = over ? 0.1 : until - lb_now_s();
        if (lb_remote_stopped(r, NULL, err) || !lb_http_poll(http, left < 0.1 ? left : 0.1, err)) return false;
    }
    return true;
}

/* GET until there is an answer that stands: 2xx, or a refusal. Nobody there is a failure at once. */
static bool get(lb_remote *r, lb_http *http, const char *url, answer *a, lb_err *err)
{
    for (int tries = 1;; tries++) {
        char why[700];
        lb_buf_reset(&a->body);
        a->over = false;
        a->call = (lb_http_call){.url = url, .user = a, .on_bytes = on_bytes, .on_end = on_end};
        bool ok = lb_http_start(http, &a->call, err) && wait_for(r, http, &a->over, 0, err);
        lb_http_cancel(http, &a->call);
        if (!ok || !lb_buf_ok(&a->body, "a server's answer", err)) return false;
        if (a->call.end == LB_HTTP_WHOLE && a->call.status >= 200 && a->call.status < 300) return true;
        lb_remote_fault f = lb_remote_call_fault(r, &a->call, &a->body, why, sizeof why);
        if (f == LB_REMOTE_REFUSED || f == LB_REMOTE_CONTEXT || (f == LB_REMOTE_SERVER && a->call.status == 501))
            return true;
        double wait = lb_remote_wait_s(&r->o, 0, tries);
        if (a->call.retry_after_s > wait) wait = a->call.retry_after_s;
        if (f == LB_REMOTE_CONNECT) return lb_fail(err, LB_EIO, "no server answers at %s: %s", url, why);
        if (tries > r->o.max_retries || f == LB_REMOTE_TOO_LARGE || wait > r->o.retry_after_max_s)
            return lb_fail(err, LB_EIO, "%s: %s (%s; %d tries)", url, why, lb_remote_fault_name(f), tries);
        if (!wait_for(r, http, NULL, lb_now_s() + wait, err)) return false;
    }
}

static char *url_of(const char *base, const char *path, lb_err *err)
{
    lb_buf b = {0};
    lb_buf_fmt(&b, "%s%s", base, path);
    return lb_buf_take(&b, "a URL", err);
}

/* ---- the model ---- */

/* The parts of an object that stay from one start of a server to the next. */
static json_t *lasting(const json_t *o, const char *const *keys)
{
    json_t *out = json_object();
    for (; out && *keys; keys++) {
        json_t *v = json_object_get(o, *keys);
        if (json_is_string(v) || json_is_number(v)) json_object_set(out, *keys, v);
    }
    return out;
}

static json_t *entry_of(const json_t *model)
{
    static const char *const keys[] = {"id", "root", "parent", "owned_by", NULL};
    static const char *const meta_keys[] = {"n_params", "size", "n_vocab", "n_embd", "n_ctx_train", NULL};
    const json_t *meta = json_object_get(model, "meta");
    json_t *out = lasting(model, keys);
    if (out && json_is_object(meta)) json_object_set_new(out, "meta", lasting(meta, meta_keys));
    return out;
}

static const json_t *find_model(const json_t *list, const char *name)
{
    size_t i;
    json_t *m;
    json_array_foreach(list, i, m) {
        const char *id = json_string_value(json_object_get(m, "id"));
        if (id && (!name || strcmp(id, name) == 0)) return m;
    }
    return NULL;
}

static void names(const json_t *list, lb_buf *b)
{
    size_t i, shown = 0;
    json_t *m;
    json_array_foreach(list, i, m) {
        const char *id = json_string_value(json_object_get(m, "id"));
        if (id && shown < 8) lb_buf_fmt(b, "%s'%.100s'", shown++ ? ", " : "", id);
        else if (id && shown++ == 8) lb_buf_str(b, ", …");
    }
}

static bool choose(lb_remote *r, const json_t *list, const char *wanted, lb_err *err)
{
    const json_t *m = find_model(list, wanted);
    lb_buf there = {0};
    names(list, &there);
    bool ok = true;
    if (!m && wanted)
        ok = lb_fail(err, LB_EIO, "%s has no model '%s'; it has %s", r->base, wanted, there.n ? there.p : "none");
    else if (!m) ok = lb_fail(err, LB_EIO, "%s has no model", r->base);
    else if (!wanted && json_array_size(list) > 1)
        ok = lb_fail(err, LB_EUSAGE, "%s has several models; --model-name takes one of %s", r->base,
                     lb_buf_cstr(&there));
    lb_buf_free(&there);
    if (!ok) return false;
    r->model = strdup(json_string_value(json_object_get(m, "id")));
    json_t *entry = entry_of(m);
    return (r->model && entry && json_object_set_new(r->about, "entry", entry) == 0) ||
           lb_fail_mem(err, 0, "the model's entry");
}

/* A proxy may have no list; then the name must be given, and the first request tells whether it is right. */
static bool unlisted(lb_remote *r, const answer *a, const char *wanted, lb_err *err)
{
    char why[700];
    int s = a->call.status;
    lb_remote_call_fault(r, &a->call, &a->body, why, sizeof why);
    if (s == 401 || s == 403)
        return lb_fail(
            err, LB_EIO,
            "%s/models wants a key that is right (OPENAI_API_KEY, or the variable that --api-key-env names): %s",
            r->base, why);
    if (s != 404 && s != 405 && s != 501) return lb_fail(err, LB_EIO, "%s/models: %s", r->base, why);
    if (!wanted)
        return lb_fail(
            err, LB_EIO,
            "%s/models: %s; is this an OpenAI-compatible server? If so, --model-name says which model to ask", r->base,
            why);
    r->model = strdup(wanted);
    return r->model || lb_fail_mem(err, 0, "the model's name");
}

static bool ask_model(lb_remote *r, lb_http *http, const char *wanted, lb_err *err)
{
    answer a = {0};
    char *url = url_of(r->base, "/models", err);
    bool ok = url && get(r, http, url, &a, err);
    if (ok && (a.call.status < 200 || a.call.status >= 300)) {
        ok = unlisted(r, &a, wanted, err);
    } else if (ok) {
        json_t *v = lb_json_parse(lb_buf_cstr(&a.body), a.body.n, url, err);
        const json_t *list = json_object_get(v, "data");
        ok = v && (json_is_array(list) ||
                   lb_fail(err, LB_EFORMAT, "%s: 'data' is %s, wanted the array of models", url, lb_json_kind(list)));
        ok = ok && choose(r, list, wanted, err);
        if (!v) lb_wrap(err, "this is no OpenAI-compatible server");
        json_decref(v);
    }
    lb_buf_free(&a.body);
    free(url);
    return ok;
}

/* ---- what serves it ---- */

/* Keys of what some servers say about themselves. A server that does not have the path has no such part. */
static const struct { const char *path, *keys[5]; } selves[] = {
    {"/version", {"version"}},                                           /* vLLM */
    {"/props", {"model_path", "build_info", "chat_template"}},           /* llama.cpp */
    {"/info", {"model_id", "model_sha", "model_dtype", "version"}},      /* TGI */
    {"/get_model_info", {"model_path", "weight_version"}},               /* SGLang */
};

static bool ask_self(lb_remote *r, lb_http *http, lb_err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof selves / sizeof *selves; i++) {
        answer a = {0};
        char *url = url_of(r->root, selves[i].path, err);
        ok = url && get(r, http, url, &a, err);
        json_t *v = ok && a.call.status < 300 ? json_loadb(lb_buf_cstr(&a.body), a.body.n, 0, NULL) : NULL;
        json_t *part = json_is_object(v) ? lasting(v, selves[i].keys) : NULL;
        const char *template = json_string_value(json_object_get(part, "chat_template"));
        if (template) { /* pages long */
            char hex[33];
            lb_hash_hex(lb_hash_of(template, strlen(template)), hex);
            json_object_set_new(part, "chat_template", json_string(hex));
        }
        if (json_object_size(part)) json_object_set(r->about, selves[i].path + 1, part);
        json_decref(part);
        json_decref(v);
        lb_buf_free(&a.body);
        free(url);
    }
    return ok;
}

static bool identify(lb_remote *r, lb_err *err)
{
    int bad = json_object_set_new(r->about, "url", json_string(r->base)) |
              json_object_set_new(r->about, "model", json_string(r->model));
    char *text = bad ? NULL : json_dumps(r->about, JSON_SORT_KEYS | JSON_COMPACT);
    if (!text) return lb_fail_mem(err, 0, "the server's identity");
    lb_hash_hex(lb_hash_of(text, strlen(text)), r->hash);
    free(text);
    return true;
}

/* ---- public ---- */

lb_remote *lb_remote_open(const lb_remote_opt *o, lb_err *err)
{
    lb_remote *r = calloc(1, sizeof *r);
    lb_http *probe = NULL;
    bool ok = r != NULL || lb_fail_mem(err, sizeof *r, "a server");
    if (ok) {
        r->o = *o;
        r->o.url = r->o.model = r->o.api_key = NULL;
        defaults(&r->o);
        const char *key = o->api_key && *o->api_key ? o->api_key : NULL;
        lb_http_opt h = {.n_parallel = r->o.n_parallel,
                         .connect_s = r->o.connect_s,
                         .idle_s = r->o.timeout_s,
                         .api_key = key},
                    quick = h;
        if (quick.idle_s > PROBE_S) quick.idle_s = PROBE_S;
        ok = set_url(r, o->url, err) && check_key(key, err) && (r->http = lb_http_open(&h, err)) &&
             (probe = lb_http_open(&quick, err));
    }
    if (ok && o->api_key && *o->api_key && !(r->key = strdup(o->api_key))) ok = lb_fail_mem(err, 0, "a server");
    if (ok && !(r->about = json_object())) ok = lb_fail_mem(err, 0, "a server");
    ok = ok && ask_model(r, probe, o->model, err) && ask_self(r, probe, err) && identify(r, err);
    lb_http_close(probe);
    if (ok) return r;
    lb_remote_close(r);
    return NULL;
}

void lb_remote_close(lb_remote *r)
{
    if (!r) return;
    lb_http_close(r->http);
    json_decref(r->about);
    free(r->base);
    free(r->root);
    free(r->chat);
    free(r->model);
    free(r->key);
    free(r);
}

const char *lb_remote_name(const lb_remote *r) { return r->model; }
const char *lb_remote_hash(const lb_remote *r) { return r->hash; }
json_t *lb_remote_about(const lb_remote *r) { return json_deep_copy(r->about); }

lb_hash lb_remote_prompt_hash(const char *user, const json_t *template_kwargs)
{
    lb_hash h = lb_hash_of(user, strlen(user));
    char *kw = json_object_size(template_kwargs) ? json_dumps(template_kwargs, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    if (kw) h = lb_hash_bytes(kw, strlen(kw), h);
    free(kw);
    return h;
}

int64_t lb_remote_seed(int64_t seed, int64_t sample)
{
    uint64_t s = sample == 0 ? (uint64_t)seed : lb_mix64((uint64_t)seed ^ lb_mix64((uint64_t)sample));
    return (int64_t)(s & 0x7fffffff);
}
