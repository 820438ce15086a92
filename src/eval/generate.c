/* eval/generate.c – one engine for a list of requests. */
#include "eval/generate.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SLOT = 64 };

const char *lb_target_kv(const lb_target *t, const char *asked)
{
    if (asked && *asked) return asked;
    if (*t->model->online.kv) return t->model->online.kv;
    return t->model->embed.num->dtype == LB_F32 ? "f32" : "bf16";
}

void lb_sampling_text(const lb_sampling *s, int max_new, const char *kv, char out[LB_SAMPLING_TEXT])
{
    snprintf(out, LB_SAMPLING_TEXT, "T%g top-p%g top-k%d min-p%g rep%g max%d kv=%s", (double)s->temperature,
             (double)s->top_p, s->top_k, (double)s->min_p, (double)s->repetition_penalty, max_new, kv);
}

void lb_sampling_text_budget(int budget, int extend, char out[LB_SAMPLING_TEXT])
{
    size_t n = strlen(out);
    if (budget > 0) n += (size_t)snprintf(out + n, LB_SAMPLING_TEXT - n, " think-budget%d", budget);
    if (extend > 0 && n < LB_SAMPLING_TEXT) snprintf(out + n, LB_SAMPLING_TEXT - n, " think-extend%d", extend);
}

/* The KV cache may take up to half of the memory of the machine. */
static int slots_that_fit(const lb_target *t, const char *kv, int n_ctx)
{
    lb_kv_spec s;
    lb_kv_room room = {.n_seq = 1, .n_ctx = n_ctx};
    size_t each = lb_kv_spec_parse(kv, &s, NULL) ? lb_kv_bytes(&t->model->cfg, &s, &room) : 1;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    double half = pages > 0 && size > 0 ? 0.5 * (double)pages * (double)size : 1e9;
    double n = half / (double)(each ? each : 1);
    return n < 1 ? 1 : n > MAX_SLOT ? MAX_SLOT : (int)n;
}

/* The longest that any of the requests can become. */
static int most_tokens(const lb_target *t, lb_request *const *r, size_t n)
{
    int ctx = lb_config_ctx(&t->model->cfg), most = 1;
    for (size_t i = 0; i < n; i++) {
        int64_t all = r[i]->max_new > 0 ? (int64_t)r[i]->n_prompt + r[i]->max_new : ctx;
        if (all > most) most = all > ctx ? ctx : (int)all;
    }
    return most;
}

/* Requests are given to the engine as slots become free, so that it is known late whether one is still wanted. */
typedef struct feed {
    lb_engine *e;
    lb_request *const *r;
    size_t n, next;                  /* r[next] is the first that was not given yet */
    lb_request **flying;             /* [n_slot]; owned */
    int n_flying, n_slot;
    const lb_generate_opt *o;
} feed;

static bool has_failed(const feed *f) { return f->o->failed && *f->o->failed; }

/* Fills the free slots. */
static bool feed_more(feed *f, lb_err *err)
{
    int n = 0;
    for (int i = 0; i < f->n_flying; i++)
        if (f->flying[i]->finish == LB_FINISH_NONE) f->flying[n++] = f->flying[i];
    f->n_flying = n;
    while (f->n_flying < f->n_slot && f->next < f->n) {
        lb_request *r = f->r[f->next++];
        if (f->o->wanted && !f->o->wanted(r)) {
            if (has_failed(f)) return false;
            continue;
        }
        if (!lb_engine_submit(f->e, r, err)) return false;
        f->flying[f->n_flying++] = r;
    }
    return true;
}

/* Every request is refused now or never. */
static bool check_all(feed *f, size_t *refused, lb_err *err)
{
    for (size_t i = 0; i < f->n; i++) {
        if (lb_engine_submit(f->e, f->r[i], err)) continue;
        *refused = i;
        return false;
    }
    lb_engine_reset(f->e);
    return true;
}

static bool run(feed *f, lb_err *err)
{
    while (feed_more(f, err) && !has_failed(f)) {
        bool busy;
        if (f->n_flying == 0) return true;
        if (!lb_engine_step(f->e, &busy, err) || has_failed(f)) return false;
        if (f->o->stop && *f->o->stop)
            return lb_fail(err, LB_ESTOPPED, "stopped; finished samples are kept, the same command continues");
    }
    return false;
}

bool lb_generate(lb_target *t, lb_request *const *r, size_t n, const lb_generate_opt *o, size_t *refused, lb_err *err)
{
    *refused = n;
    if (n == 0) return true;
    lb_engine_opt eo = {.kv = lb_target_kv(t, o->kv), .n_ctx = most_tokens(t, r, n)};
    eo.n_slot = o->n_slot > 0 ? o->n_slot : slots_that_fit(t, eo.kv, eo.n_ctx);
    if ((size_t)eo.n_slot > n) eo.n_slot = (int)n;
    feed f = {.r = r, .n = n, .n_slot = eo.n_slot, .o = o};
    f.flying = lb_alloc((size_t)f.n_slot, sizeof *f.flying, "the requests", err);
    f.e = f.flying ? lb_engine_open(t->model, &eo, err) : NULL;
    bool ok = f.e && check_all(&f, refused, err) && run(&f, err);
    lb_engine_close(f.e);
    free(f.flying);
    return ok;
}
