/* eval/eval_remote.c – asks of an evaluation as requests to a server.
 *
 * The server renders the prompt, so that its hash is of what is sent. Where a reasoning model's template opens the
 * thinking and the server does not split the reply, a reply holds only "</think>", which graders read as they should.
 */
#include "eval/eval_remote.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

typedef struct job {                 /* one ask as a request */
    lb_remote_request q;
    lb_ask *ask;
    const lb_asking *how;
} job;

static bool prepare(void *self, const char *user, const json_t *kwargs, lb_prepared *out, lb_err *err)
{
    (void)self;
    out->own = strdup(user);
    out->hash = lb_remote_prompt_hash(user, kwargs);
    out->in_thinking = false;
    return out->own || lb_fail_mem(err, strlen(user), "a prompt");
}

static void forget(void *self, lb_prepared *p)
{
    (void)self;
    free(p->own);
    p->own = NULL;
}

static bool wanted(lb_remote_request *q)
{
    job *j = q->user_data;
    return j->how->wanted(j->ask);
}

static void on_done(lb_remote_request *q, lb_remote_reply *r)
{
    job *j = q->user_data;
    j->how->done(j->ask, r->text, r->n_tokens, r->truncated);
}

static void on_failed(lb_remote_request *q, lb_remote_fault f, const char *why)
{
    (void)f; /* its name is no more than why says */
    job *j = q->user_data;
    j->how->failed_one(j->ask, why);
}

static bool generate(void *self, lb_ask *const *asks, size_t n, const lb_asking *how, lb_err *err)
{
    lb_served *s = self;
    if (how->think_budget || how->think_extend)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "thinking cannot be forced through a server: no --think-budget or --think-extend with --server");
    job *jobs = lb_alloc(n, sizeof *jobs, "the samples", err);
    lb_remote_request **list = jobs ? lb_alloc(n, sizeof *list, "the samples", err) : NULL;
    for (size_t i = 0; list && i < n; i++) {
        lb_ask *a = asks[i];
        jobs[i] = (job){.ask = a, .how = how};
        jobs[i].q = (lb_remote_request){.user = a->prompt->own,
                                        .template_kwargs = how->template_kwargs,
                                        .sampling = a->sampling,
                                        .max_new = a->max_new,
                                        .seed = lb_remote_seed(a->seed, a->sample),
                                        .user_data = &jobs[i],
                                        .wanted = wanted,
                                        .on_done = on_done,
                                        .on_failed = on_failed};
        list[i] = &jobs[i].q;
    }
    lb_remote_report one;
    bool ok =
        list && lb_remote_run(s->r, list, n, &(lb_remote_run_opt){.failed = how->failed, .stop = how->stop}, &one, err);
    if (list) lb_remote_report_add(&s->report, &one);
    free(list);
    free(jobs);
    return ok;
}

bool lb_subject_remote(lb_served *out, lb_remote *r, lb_exec *ex, lb_err *err)
{
    memset(out, 0, sizeof *out);
    out->r = r;
    out->about = lb_remote_about(r);
    out->s = (lb_subject){.hash = lb_remote_hash(r),
                          .name = lb_remote_name(r),
                          .kind = "server",
                          .kv = "server",
                          .about = out->about,
                          .ex = ex,
                          .self = out,
                          .prepare = prepare,
                          .forget = forget,
                          .generate = generate};
    return out->about || lb_fail_mem(err, 0, "a server's description");
}

void lb_subject_remote_close(lb_served *s)
{
    json_decref(s->about);
    memset(s, 0, sizeof *s);
}

lb_sampling lb_served_sampling(void)
{
    return (lb_sampling){.temperature = 0.6f, .top_p = 0.95f, .repetition_penalty = 1};
}
