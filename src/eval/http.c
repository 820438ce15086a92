/* eval/http.c – calls as easy handles of one multi handle.
 *
 * The multi handle keeps the connections, so an easy handle lives only as long as its call. Idle time is counted here
 * and not by libcurl, whose low-speed limit knows whole seconds and takes a comment line for progress. */
#include "eval/http.h"
#include "base/buf.h"
#include "base/cpu.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER_BYTES = 256 << 10 };

typedef struct lb_http_flight {
    lb_http *http;
    lb_http_call *call;
    CURL *easy;
    double t_progress;
    size_t header_bytes;
    bool stop, broken;           /* on_bytes said so; too many headers */
    char why[CURL_ERROR_SIZE];
    struct lb_http_flight *next, **at;
} lb_http_flight;

struct lb_http {
    CURLM *multi;
    struct curl_slist *get, *post;       /* headers */
    char *no_proxy;
    lb_http_opt o;
    lb_http_flight *first;
    bool global;
};

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more) *list = more;
    return more != NULL;
}

static bool make_headers(lb_http *h, const char *key)
{
    bool ok = add_header(&h->get, "Accept: application/json") &&
              add_header(&h->post, "Accept: text/event-stream, application/json") &&
              add_header(&h->post, "Content-Type: application/json") && add_header(&h->post, "Expect:");
    if (!key || !ok) return ok;
    lb_buf b = {0};
    lb_buf_fmt(&b, "Authorization: Bearer %s", key);
    ok = !b.oom && add_header(&h->get, b.p) && add_header(&h->post, b.p);
    lb_buf_free(&b);
    return ok;
}

static bool make_no_proxy(lb_http *h)
{
    const char *env = getenv("no_proxy");
    if (!env) env = getenv("NO_PROXY");
    lb_buf b = {0};
    bool none = env && strcmp(env, "*") == 0; /* libcurl knows the star only when it stands alone */
    lb_buf_fmt(&b, "%s%s%s", env ? env : "", env && *env && !none ? "," : "", none ? "" : "localhost,127.0.0.1,::1");
    h->no_proxy = lb_buf_take(&b, "the proxy's exceptions", NULL);
    return h->no_proxy != NULL;
}

lb_http *lb_http_open(const lb_http_opt *o, lb_err *err)
{
    lb_http *h = calloc(1, sizeof *h);
    if (!h) {
        lb_fail_mem(err, sizeof *h, "an HTTP client");
        return NULL;
    }
    h->o = *o;
    h->o.api_key = NULL;
    h->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!h->global || !(h->multi = curl_multi_init()) || !make_headers(h, o->api_key) || !make_no_proxy(h)) {
        lb_fail_mem(err, 0, "an HTTP client");
        lb_http_close(h);
        return NULL;
    }
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)(o->n_parallel > 0 ? o->n_parallel : 1));
    return h;
}

/* ---- what comes ---- */

static size_t on_body(char *p, size_t one, size_t n, void *user)
{
    lb_http_flight *f = user;
    long status = 0;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    f->call->status = (int)status;
    lb_http_more more = f->call->on_bytes ? f->call->on_bytes(f->call, p, one * n) : LB_HTTP_GO;
    if (more == LB_HTTP_GO) f->t_progress = lb_now_s();
    f->stop = more == LB_HTTP_STOP;
    return f->stop ? 0 : n; /* less than n makes libcurl end the call */
}

static size_t on_header(char *p, size_t one, size_t n, void *user)
{
    (void)p;
    lb_http_flight *f = user;
    f->header_bytes += one * n;
    f->broken = f->header_bytes > MAX_HEADER_BYTES;
    f->t_progress = lb_now_s();
    return f->broken ? 0 : n;
}

static lb_http_end end_of(const lb_http_flight *f, CURLcode code)
{
    double connected = 0;
    switch (code) {
    case CURLE_OK: return LB_HTTP_WHOLE;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_PROXY: return LB_HTTP_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        curl_easy_getinfo(f->easy, CURLINFO_APPCONNECT_TIME, &connected);
        return connected > 0 ? LB_HTTP_STALLED : LB_HTTP_CONNECT;
    case CURLE_UNSUPPORTED_PROTOCOL:     /* HTTP/0.9 among others: bytes without a status line */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return LB_HTTP_BROKEN;
    case CURLE_WRITE_ERROR: return f->stop ? LB_HTTP_REJECTED : f->broken ? LB_HTTP_BROKEN : LB_HTTP_DROPPED;
    default: return LB_HTTP_DROPPED;
    }
}

/* ---- calls ---- */

static void flight_free(lb_http_flight *f)
{
    if (f->at) {
        *f->at = f->next;
        if (f->next) f->next->at = f->at;
        curl_multi_remove_handle(f->http->multi, f->easy);
    }
    f->call->flight = NULL;
    if (f->easy) curl_easy_cleanup(f->easy);
    free(f);
}

void lb_http_cancel(lb_http *h, lb_http_call *c)
{
    (void)h;
    if (c->flight) flight_free(c->flight);
}

void lb_http_close(lb_http *h)
{
    if (!h) return;
    while (h->first) flight_free(h->first);
    if (h->multi) curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->get);
    curl_slist_free_all(h->post);
    free(h->no_proxy);
    if (h->global) curl_global_cleanup();
    free(h);
}

static bool set_up(lb_http *h, lb_http_flight *f, const lb_http_call *c)
{
    CURL *e = f->easy;
    CURLcode bad = 0;
    bad |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->why);
    bad |= curl_easy_setopt(e, CURLOPT_URL, c->url);
    bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_NOPROXY, h->no_proxy);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * h->o.connect_s));
    bad |= curl_easy_setopt(e, CURLOPT_USERAGENT, "lowbit/" LB_VERSION);
    bad |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->body ? h->post : h->get);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
    bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, f);
    if (c->body) {
        bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->n_body);
        bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDS, c->body);
    }
    return bad == CURLE_OK && curl_multi_add_handle(h->multi, e) == CURLM_OK;
}

bool lb_http_start(lb_http *h, lb_http_call *c, lb_err *err)
{
    lb_http_flight *f = calloc(1, sizeof *f);
    if (!f || !(f->easy = curl_easy_init())) {
        free(f);
        return lb_fail_mem(err, 0, "an HTTP request");
    }
    f->http = h, f->call = c, f->t_progress = lb_now_s();
    c->flight = f;
    c->status = 0, c->retry_after_s = 0, c->why[0] = 0, c->location[0] = 0;
    if (!set_up(h, f, c)) {
        flight_free(f);
        return lb_fail_mem(err, 0, "an HTTP request");
    }
    f->next = h->first, f->at = &h->first;
    if (f->next) f->next->at = &f->next;
    h->first = f;
    return true;
}

static void end(lb_http_flight *f, lb_http_end how, const char *why)
{
    lb_http_call *c = f->call;
    long status = 0;
    curl_off_t after = 0;
    char *to = NULL;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &after);
    curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &to);
    c->end = how, c->status = (int)status, c->retry_after_s = (double)after;
    snprintf(c->why, sizeof c->why, "%s", why);
    snprintf(c->location, sizeof c->location, "%s", to ? to : "");
    flight_free(f);
    if (c->on_end) c->on_end(c);
}

static void end_finished(lb_http *h)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE) continue;
        lb_http_flight *f = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        lb_http_end how = end_of(f, code);
        const char *why = f->broken ? "endless headers" : *f->why ? f->why : curl_easy_strerror(code);
        char copy[CURL_ERROR_SIZE];
        snprintf(copy, sizeof copy, "%s", how == LB_HTTP_WHOLE ? "" : why);
        end(f, how, copy);
    }
}

static void end_idle(lb_http *h)
{
    double now = lb_now_s();
    for (lb_http_flight *f = h->first; f;) {
        if (now - f->t_progress < h->o.idle_s) {
            f = f->next;
            continue;
        }
        char why[64];
        snprintf(why, sizeof why, "nothing came for %.3g s", h->o.idle_s);
        end(f, LB_HTTP_STALLED, why);
        f = h->first; /* on_end may have changed the list */
    }
}

bool lb_http_poll(lb_http *h, double wait_s, lb_err *err)
{
    int n;
    CURLMcode code = curl_multi_poll(h->multi, NULL, 0, wait_s > 0 ? (int)(1000 * wait_s) : 0, &n);
    if (code == CURLM_OK) code = curl_multi_perform(h->multi, &n);
    if (code != CURLM_OK)
        return lb_fail(err, code == CURLM_OUT_OF_MEMORY ? LB_ENOMEM : LB_EFAIL, "HTTP: %s", curl_multi_strerror(code));
    end_finished(h);
    end_idle(h);
    return true;
}
