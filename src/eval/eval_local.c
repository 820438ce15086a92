/* eval/eval_local.c – the model in this process as the subject of an evaluation. */
#include "base/mem.h"
#include "eval/generate.h"
#include "eval/subject.h"
#include <stdlib.h>
#include <string.h>

typedef struct job {                 /* one ask in the engine's terms */
    lb_request r;
    lb_ask *ask;
    struct batch *batch;
    lb_budget_state thought;
} job;

typedef struct batch {
    const lb_asking *how;
    const lb_target *t;
    lb_budget budget;                /* if thinking is forced */
    bool failed;                     /* an on_done failed; err says how */
    lb_err *err;
} batch;

/* ---- prompts ---- */

static bool prepare(void *self, const char *user, const json_t *kwargs, lb_prepared *out, lb_err *err)
{
    const lb_local *l = self;
    lb_ids *ids = lb_alloc(1, sizeof *ids, "a prompt", err);
    out->own = ids;
    return ids && lb_target_prompt(l->t, NULL, user, kwargs, ids, &out->in_thinking, &out->hash, err);
}

static void forget(void *self, lb_prepared *p)
{
    (void)self;
    if (p->own) lb_ids_free(p->own);
    free(p->own);
    p->own = NULL;
}

/* ---- generation ---- */

static bool text_of(const batch *b, const lb_request *r, lb_buf *text)
{
    int n = r->n_out;
    if (r->finish == LB_FINISH_STOP && n > 0) n--; /* the stop token is not part of the answer */
    if (!lb_tokenizer_decode(b->t->tok, r->out, (size_t)n, false, text, b->err)) return false;
    for (size_t i = 0; i < text->n; i++)
        if (text->p[i] == 0) text->p[i] = ' '; /* the database and the graders take C strings */
    return lb_buf_ok(text, "a sample", b->err);
}

static void on_done(lb_request *r)
{
    job *j = r->user;
    batch *b = j->batch;
    if (b->failed || *b->how->failed) return;
    lb_buf text = {0};
    if (text_of(b, r, &text)) b->how->done(j->ask, lb_buf_cstr(&text), r->n_out, r->finish == LB_FINISH_LENGTH);
    else b->failed = true;
    if (*b->how->failed) b->failed = true;
    lb_buf_free(&text);
}

static int on_sample(lb_request *r, int id)
{
    job *j = r->user;
    return lb_budget_next(&j->batch->budget, &j->thought, id);
}

static bool wanted(lb_request *r)
{
    job *j = r->user;
    bool yes = j->batch->how->wanted(j->ask);
    if (*j->batch->how->failed) j->batch->failed = true;
    return yes;
}

static void fill(job *j, batch *b, lb_ask *a)
{
    const lb_ids *p = a->prompt->own;
    *j = (job){.ask = a, .batch = b, .thought.thinking = a->prompt->in_thinking};
    j->r = (lb_request){.prompt = p->p, .n_prompt = (int)p->n, .sampling = a->sampling, .max_new = a->max_new,
                        .stop = b->t->gen.eos, .n_stop = b->t->gen.n_eos, .user = j, .on_done = on_done,
                        .on_sample = b->how->think_budget || b->how->think_extend ? on_sample : NULL,
                        .key = lb_rng_key_of((uint64_t)a->seed, a->item->hash.lo, (uint64_t)a->sample)};
}

static bool generate(void *self, lb_ask *const *asks, size_t n, const lb_asking *how, lb_err *err)
{
    lb_local *l = self;
    batch b = {.how = how, .t = l->t, .err = err};
    if ((how->think_budget || how->think_extend) &&
        !lb_budget_open(&b.budget, l->t->tok, how->think_budget, how->think_extend, err))
        return false;
    size_t refused = n;
    lb_generate_opt go = {.n_slot = how->n_parallel, .kv = l->s.kv, .failed = &b.failed, .stop = how->stop,
                          .wanted = wanted};
    job *jobs = lb_alloc(n, sizeof *jobs, "the samples", err);
    lb_request **list = jobs ? lb_alloc(n, sizeof *list, "the samples", err) : NULL;
    for (size_t i = 0; list && i < n; i++) {
        fill(&jobs[i], &b, asks[i]);
        list[i] = &jobs[i].r;
    }
    bool ok = list && lb_generate(l->t, list, n, &go, &refused, err);
    if (!ok && refused < n) {
        char name[80];
        const lb_item *it = asks[refused]->item;
        if (err && err->code == LB_EUSAGE) err->code = LB_EFORMAT; /* the row is to blame, not the user's flags */
        lb_wrap(err, "task %s, problem %s", it->bench->name, lb_item_called(it, name));
    }
    free(list);
    free(jobs);
    return ok;
}

bool lb_subject_local(lb_local *out, lb_target *t, const char *kv, lb_err *err)
{
    memset(out, 0, sizeof *out);
    if (!t->hash[0] && !lb_target_hash(t, err)) return false;
    out->t = t;
    out->about = json_pack("{s:f}", "bits_per_weight", t->model->bpw);
    out->s = (lb_subject){.hash = t->hash, .name = t->model->dir, .kind = "folder", .kv = lb_target_kv(t, kv),
                          .about = out->about, .ex = t->model->ex, .self = out, .prepare = prepare, .forget = forget,
                          .generate = generate};
    return out->about || lb_fail_mem(err, 0, "a model's description");
}

void lb_subject_local_close(lb_local *l)
{
    json_decref(l->about);
    memset(l, 0, sizeof *l);
}
