/* eval/remote_run.c – many requests through one server.
 *
 * Each of n_parallel slots holds one request until it is answered or failed for good, also while it waits to be tried
 * again, so that no more than n_parallel requests are ever unsettled:
 *
 *        FREE → FLYING → answered → FREE
 *                 ↑↓ a fault that may pass
 *               WAITING → retries used up → failed → FREE
 *
 * What says that the server as a whole cannot (nobody answers, 429, 503) closes a gate for all slots until its wait is
 * over. A 429 also halves how many fly at once, which grows again by one for each round of answers (as TCP does it). */
#include "base/cpu.h"
#include "base/mem.h"
#include "eval/remote_error.h"
#include "eval/remote_impl.h"
#include "eval/remote_reply.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ERROR_BODY = 64 << 10 };
static const double MAX_NAP_S = 0.1;     /* between looks at the stop flag */

struct run;
typedef struct slot {
    enum { FREE, FLYING, WAITING } state;
    struct run *run;
    size_t index;                /* in run.list */
    int tries;                   /* that count against max_retries */
    double until, t_sent;        /* WAITING: not before; FLYING: since */
    unsigned fields_version;     /* of the fields it was sent with */
    char *text;                  /* the body sent; owned, as the rest */
    lb_http_call call;
    lb_remote_parse parse;
    lb_buf error;                /* body of a reply that is none */
} slot;

typedef struct run {
    lb_remote *r;
    lb_remote_request *const *list;
    size_t n, next;
    const lb_remote_run_opt *o;
    lb_remote_report *report;
    slot *slots;                 /* [r->o.n_parallel] */
    int n_flying, n_busy;        /* slots; busy: not free */
    int width, grown;            /* most flying at once; answers since it changed */
    double gate, t_cut;          /* nothing is sent before; when width was halved */
    int in_row;                  /* failed requests since the last answer */
    bool dead;                   /* the run is over; err says why */
    lb_err *err;
} run;

/* ---- ends ---- */

static void settle(slot *s)
{
    s->state = FREE;
    s->run->n_busy--;
}

static bool may_pass(lb_remote_fault f)
{
    return f == LB_REMOTE_CONNECT || f == LB_REMOTE_DROPPED || f == LB_REMOTE_STALLED || f == LB_REMOTE_BROKEN ||
           f == LB_REMOTE_BUSY || f == LB_REMOTE_SERVER;
}

static void fail_request(slot *s, lb_remote_fault f, const char *why)
{
    run *x = s->run;
    lb_remote_report *p = x->report;
    lb_remote_request *q = x->list[s->index];
    if (x->o->failed && *x->o->failed) return;
    if (p->n_failed++ == 0) {
        p->first_failed = s->index;
        snprintf(p->first, sizeof p->first, "%.*s", (int)sizeof p->first - 1, why);
    }
    p->failed[f]++;
    settle(s);
    if (q->on_failed) q->on_failed(q, f, why);
    if (++x->in_row < x->r->o.max_failed) return;
    x->dead = true;
    lb_fail(x->err, LB_EIO,
            "%d requests in a row failed, the last after %d tries (%s): %s; what is finished is kept, the same command "
            "continues",
            x->in_row, s->tries, lb_remote_fault_name(f), why);
}

static void answered(slot *s, lb_remote_reply *reply)
{
    run *x = s->run;
    lb_remote_request *q = x->list[s->index];
    if (x->o->failed && *x->o->failed) return;
    x->report->n_done++;
    x->report->n_estimated += reply->tokens_estimated;
    x->in_row = 0;
    if (++x->grown >= x->width && x->width < x->r->o.n_parallel) x->width++, x->grown = 0;
    settle(s);
    q->on_done(q, reply);
}

static void slow_down(slot *s)
{
    run *x = s->run;
    x->report->n_429++;
    if (s->t_sent < x->t_cut) return; /* one of the same wave */
    x->width = x->width > 1 ? x->width / 2 : 1;
    x->grown = 0;
    x->t_cut = lb_now_s();
}

static void again(slot *s, lb_remote_fault f, const char *why)
{
    run *x = s->run;
    double wait = lb_remote_wait_s(&x->r->o, s->index, s->tries), asked = s->call.retry_after_s;
    if (asked > x->r->o.retry_after_max_s) {
        x->dead = true;
        lb_fail(x->err, LB_EIO,
                "the server asks to wait %.0f s (%s); what is finished is kept, the same command continues", asked,
                why);
        return;
    }
    if (wait < asked) wait += asked; /* the jitter stays, so that not all come back in the same moment */
    s->state = WAITING;
    s->until = lb_now_s() + wait;
    bool shared = f == LB_REMOTE_CONNECT || f == LB_REMOTE_BUSY;
    if (shared && s->until > x->gate) x->gate = s->until;
}

/* A refusal may only be about a field; true if the request is to be sent again at once, or the run is dead. */
static bool learned(slot *s, const char *body)
{
    run *x = s->run;
    lb_remote_lesson l = s->fields_version != x->r->fields.version
                             ? LB_LESSON_CHANGED
                             : lb_remote_learn(&x->r->fields, x->list[s->index], body, x->err);
    if (l == LB_LESSON_NONE) return false;
    x->dead = l == LB_LESSON_CANNOT;
    s->tries--;
    s->state = WAITING;
    s->until = 0;
    return true;
}

static void ended(slot *s, lb_remote_fault f, const char *why)
{
    run *x = s->run;
    int status = s->call.end == LB_HTTP_WHOLE || s->call.end == LB_HTTP_REJECTED ? s->call.status : 0;
    if (x->dead || (f == LB_REMOTE_REFUSED && (status == 400 || status == 422) && learned(s, why))) return;
    x->report->tried[f]++;
    if (status == 429) slow_down(s);
    if (lb_remote_error_fatal(status, why)) {
        x->dead = true;
        lb_fail(x->err, LB_EIO, "%s: %s%s; what is finished is kept, the same command continues", x->r->chat, why,
                status == 401 || status == 403 ? " (the key: OPENAI_API_KEY, or the variable that --api-key-env names)"
                                               : "");
    } else if (may_pass(f) && s->tries <= x->r->o.max_retries) {
        again(s, f, why);
    } else {
        fail_request(s, f, why);
    }
}

static lb_http_more on_bytes(lb_http_call *c, const char *p, size_t n)
{
    slot *s = c->user;
    bool progress = false;
    if (c->status >= 200 && c->status < 300)
        return !lb_remote_parse_feed(&s->parse, p, n, &progress) ? LB_HTTP_STOP : progress ? LB_HTTP_GO : LB_HTTP_WAIT;
    size_t left = MAX_ERROR_BODY - s->error.n;
    lb_buf_add(&s->error, p, n < left ? n : left);
    return n <= left ? LB_HTTP_GO : LB_HTTP_STOP;
}

static void on_end(lb_http_call *c)
{
    slot *s = c->user;
    char raw[512], why[512];
    lb_remote_reply reply = {0};
    lb_remote_fault f;
    bool ok_status = c->status >= 200 && c->status < 300;
    s->run->n_flying--;
    /* After [DONE] it does not matter how the connection ends. */
    if (ok_status && (c->end == LB_HTTP_WHOLE || c->end == LB_HTTP_REJECTED || s->parse.over)) {
        f = lb_remote_parse_end(&s->parse, &reply);
        snprintf(raw, sizeof raw, "%s", s->parse.why);
    } else {
        f = lb_remote_call_fault(s->run->r, c, &s->error, raw, sizeof raw);
    }
    lb_remote_one_line(raw, strlen(raw), why, sizeof why);
    lb_remote_hide_key(s->run->r, why);
    lb_remote_parse_free(&s->parse);
    free(s->text);
    s->text = NULL;
    if (f != LB_REMOTE_OK) {
        ended(s, f, why);
        return;
    }
    s->run->report->tried[f]++;
    answered(s, &reply);
    free(reply.text);
}

/* ---- sending ---- */

static bool send_slot(slot *s)
{
    run *x = s->run;
    size_t n;
    const lb_remote_request *q = x->list[s->index];
    s->text = lb_remote_body(&x->r->fields, x->r->model, q, &n, x->err);
    if (!s->text) return false;
    lb_remote_parse_init(&s->parse, x->r->o.max_reply_bytes);
    lb_buf_reset(&s->error);
    s->call = (lb_http_call){
        .url = x->r->chat, .body = s->text, .n_body = n, .user = s, .on_bytes = on_bytes, .on_end = on_end};
    s->fields_version = x->r->fields.version;
    s->t_sent = lb_now_s();
    s->tries++;
    x->report->n_tries++;
    if (!lb_http_start(x->r->http, &s->call, x->err)) return false;
    s->state = FLYING;
    x->n_flying++;
    return true;
}

/* The next request that is wanted; false if there is none, or wanted() failed. */
static bool take(run *x, size_t *index)
{
    while (x->next < x->n) {
        lb_remote_request *q = x->list[x->next++];
        bool yes = !q->wanted || q->wanted(q);
        if (x->o->failed && *x->o->failed) return false;
        *index = x->next - 1;
        if (yes) return true;
    }
    return false;
}

/* Starts what may start now; *nap is how long nothing else will. */
static bool send_ready(run *x, double *nap)
{
    double now = lb_now_s();
    *nap = MAX_NAP_S;
    if (now < x->gate) {
        if (x->gate - now < *nap) *nap = x->gate - now;
        return true;
    }
    for (int i = 0; i < x->r->o.n_parallel && x->n_flying < x->width; i++) {
        slot *s = &x->slots[i];
        if (s->state == FLYING || (s->state == FREE && (x->next == x->n || x->n_busy >= x->width))) continue;
        if (s->state == WAITING && s->until > now) {
            if (s->until - now < *nap) *nap = s->until - now;
            continue;
        }
        if (s->state == FREE) {
            if (!take(x, &s->index)) continue;
            s->tries = 0;
            x->n_busy++;
        }
        if (!send_slot(s)) return false;
    }
    return true;
}

static bool loop(run *x)
{
    while (x->next < x->n || x->n_busy > 0) {
        double nap;
        if (lb_remote_stopped(x->r, x->o->stop, x->err)) return false;
        if (!send_ready(x, &nap) || !lb_http_poll(x->r->http, nap, x->err)) return false;
        if (x->dead || (x->o->failed && *x->o->failed)) return false;
    }
    return true;
}

bool lb_remote_run(lb_remote *r, lb_remote_request *const *list, size_t n, const lb_remote_run_opt *o,
                   lb_remote_report *report, lb_err *err)
{
    static const lb_remote_run_opt plain = {0};
    memset(report, 0, sizeof *report);
    run x = {.r = r, .list = list, .n = n, .o = o ? o : &plain, .report = report, .width = r->o.n_parallel, .err = err};
    x.slots = lb_alloc((size_t)r->o.n_parallel, sizeof *x.slots, "requests in flight", err);
    if (!x.slots) return false;
    for (int i = 0; i < r->o.n_parallel; i++) x.slots[i].run = &x;
    bool ok = loop(&x);
    for (int i = 0; i < r->o.n_parallel; i++) {
        slot *s = &x.slots[i];
        lb_http_cancel(r->http, &s->call);
        if (s->text) lb_remote_parse_free(&s->parse);
        free(s->text);
        lb_buf_free(&s->error);
    }
    free(x.slots);
    report->n_parallel = x.width;
    snprintf(report->remarks, sizeof report->remarks, "%s", r->fields.remarks);
    return ok;
}

/* ---- the report ---- */

const char *lb_remote_fault_name(lb_remote_fault f)
{
    static const char *const fault_names[LB_REMOTE_N_FAULT] = {"ok",      "connect",   "dropped", "stalled",
                                                               "broken",  "too large", "busy",    "server",
                                                               "refused", "context",   "filtered"};
    return f < LB_REMOTE_N_FAULT ? fault_names[f] : "?";
}

void lb_remote_report_add(lb_remote_report *sum, const lb_remote_report *r)
{
    if (sum->n_failed == 0) {
        sum->first_failed = r->first_failed;
        memcpy(sum->first, r->first, sizeof sum->first);
    }
    sum->n_done += r->n_done, sum->n_failed += r->n_failed, sum->n_tries += r->n_tries, sum->n_429 += r->n_429;
    for (int f = 0; f < LB_REMOTE_N_FAULT; f++) sum->tried[f] += r->tried[f], sum->failed[f] += r->failed[f];
    sum->n_estimated += r->n_estimated;
    sum->n_parallel = r->n_parallel;
    memcpy(sum->remarks, r->remarks, sizeof sum->remarks);
}

static void counts(const size_t *n, lb_buf *b)
{
    bool some = false;
    for (int f = LB_REMOTE_OK + 1; f < LB_REMOTE_N_FAULT; f++) {
        if (!n[f]) continue;
        lb_buf_fmt(b, "%s%zu %s", some ? ", " : "", n[f], lb_remote_fault_name((lb_remote_fault)f));
        some = true;
    }
}

void lb_remote_report_text(const lb_remote_report *p, char *out, size_t cap)
{
    lb_buf b = {0};
    size_t bad = 0;
    for (int f = LB_REMOTE_OK + 1; f < LB_REMOTE_N_FAULT; f++) bad += p->tried[f];
    if (p->n_failed) {
        lb_buf_fmt(&b, "%zu of %zu requests failed (", p->n_failed, p->n_failed + p->n_done);
        counts(p->failed, &b);
        lb_buf_fmt(&b, "), the first: %s", p->first);
    }
    if (bad) {
        lb_buf_fmt(&b, "%s%zu of %zu tries failed (", b.n ? "; " : "", bad, p->n_tries);
        counts(p->tried, &b);
        lb_buf_str(&b, ")");
    }
    if (p->n_estimated)
        lb_buf_fmt(&b, "%stokens of %zu replies are estimated: the server does not count them", b.n ? "; " : "",
                   p->n_estimated);
    if (*p->remarks) lb_buf_fmt(&b, "%s%s", b.n ? "; " : "", p->remarks);
    snprintf(out, cap, "%s", lb_buf_cstr(&b));
    lb_buf_free(&b);
}

static json_t *counts_json(const size_t *n)
{
    json_t *o = json_object();
    for (int f = LB_REMOTE_OK + 1; o && f < LB_REMOTE_N_FAULT; f++)
        if (n[f]) json_object_set_new(o, lb_remote_fault_name((lb_remote_fault)f), json_integer((json_int_t)n[f]));
    return o;
}

json_t *lb_remote_report_json(const lb_remote_report *p)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:i, s:s, s:s}", "done", (json_int_t)p->n_done, "failed",
                     (json_int_t)p->n_failed, "tries", (json_int_t)p->n_tries, "http_429", (json_int_t)p->n_429,
                     "tries_failed", counts_json(p->tried), "failures", counts_json(p->failed), "tokens_estimated",
                     (json_int_t)p->n_estimated, "parallel", p->n_parallel, "first_failure", p->first, "remarks",
                     p->remarks);
}
