/* eval/eval_generate.c – the samples that the database lacks, shared with whoever else is at work on it.
 *
 * A sample is claimed right before the subject starts on it (lb_db_claim). One that another process has claimed is left
 * out; when everything else is made, those are asked for again and again until they are there, or the other process has
 * let go of them, and then they are made here. */
#define _GNU_SOURCE
#include "base/mem.h"
#include "eval/eval_run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 100 };

static lb_sample_key key_of(const lb_eval_job *j)
{
    lb_sample_key key = lb_eval_key(j->run, j->task, j->item, 0);
    key.seed = j->ask.seed, key.sample = j->ask.sample;
    return key;
}

static void release(lb_eval_job *j)
{
    lb_sample_key key = key_of(j);
    if (j->claimed) lb_db_release(j->run->db, &key);
    j->claimed = false;
}

/* Claims the sample, unless another process has it (false) or has made it meanwhile (done). */
static bool claim(lb_eval_job *j)
{
    lb_evaluation *x = j->run;
    lb_sample_key key = key_of(j);
    lb_sample_row row;
    bool found;
    if (j->claimed) return true;
    if (!lb_db_claim(x->db, &key, &j->claimed, x->err)) {
        x->failed = true;
        return false;
    }
    if (!j->claimed) return false;
    if (!lb_db_find(x->db, &key, false, &found, &row, x->err)) x->failed = true;
    else if (!found) return true;
    release(j);
    if (x->failed) return false;
    j->done = true;
    x->n_reused++;
    if (x->p) lb_progress_reuse(x->p, 1);
    return false;
}

static bool wanted(lb_ask *a) { return claim(a->user); }

/* ---- a finished sample ---- */

static bool store(lb_evaluation *x, lb_eval_job *j, const char *text, int n_tokens, bool truncated)
{
    const lb_bench *b = j->task->bench;
    bool in_thinking = j->ask.prompt->in_thinking;
    const char *answer;
    lb_sample_row row = {.text = (char *)text, .n_tokens = n_tokens, .truncated = truncated, .verdict = -1, .strict = -1,
                         .lenient = -1};
    lb_answer_part(text, in_thinking, &answer, &row.think_closed);
    lb_sample_key key = key_of(j);
    /* programs are judged afterwards, on all threads */
    bool ok = b->runs_code || lb_eval_grade(x, j->ask.item, text, in_thinking, &row, x->err);
    return ok && lb_db_put(x->db, &key, &row, x->err);
}

static void done(lb_ask *a, const char *text, int n_tokens, bool truncated)
{
    lb_eval_job *j = a->user;
    lb_evaluation *x = j->run;
    if (x->failed) return;
    x->failed = !store(x, j, text, n_tokens, truncated);
    release(j);
    j->done = true;
    x->n_generated++;
    x->tokens += n_tokens;
    if (!x->p) return;
    lb_eval_show(x, "", j->task->bench->name);
    lb_progress_add(x->p, 1, n_tokens);
}

static void failed_one(lb_ask *a, const char *why)
{
    lb_eval_job *j = a->user;
    lb_evaluation *x = j->run;
    char name[80];
    release(j);
    j->done = true;
    if (x->n_lost++ == 0)
        snprintf(x->lost, sizeof x->lost, "%s, problem %s, seed %lld: %s", j->task->bench->name,
                 lb_item_called(a->item, name), (long long)a->seed, why);
}

/* ---- all of them ---- */

static bool ask(lb_evaluation *x, lb_ask *const *list, size_t n)
{
    const lb_eval_opt *o = x->o;
    lb_asking how = {.n_parallel = o->n_slot, .think_budget = o->think_budget, .think_extend = o->think_extend,
                     .template_kwargs = o->template_kwargs, .failed = &x->failed, .stop = o->stop, .wanted = wanted,
                     .done = done, .failed_one = failed_one};
    return x->s->generate(x->s->self, list, n, &how, x->err) && !x->failed;
}

/* The jobs that are not done; with `claimed` only those that can be had now. */
static size_t open_jobs(lb_evaluation *x, lb_ask **list, bool claimed, size_t *n_others)
{
    size_t n = 0;
    *n_others = 0;
    for (size_t i = 0; i < x->n_job && !x->failed; i++) {
        lb_eval_job *j = &x->jobs[i];
        if (j->done) continue;
        if (!claimed || claim(j)) list[n++] = &j->ask;
        else if (!j->done) ++*n_others;
    }
    return n;
}

static bool wait_for_others(lb_evaluation *x, size_t n)
{
    char text[64];
    snprintf(text, sizeof text, "waiting for another process: %zu samples", n);
    if (x->p) lb_eval_show(x, text, "");
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    return !lb_eval_stopped(x->o, x->err);
}

bool lb_eval_generate(lb_evaluation *x)
{
    if (x->n_job == 0) return true;
    lb_ask **list = lb_alloc(x->n_job, sizeof *list, "the samples", x->err);
    size_t n_others, n = list ? open_jobs(x, list, false, &n_others) : 0;
    bool ok = list && ask(x, list, n);
    while (ok) {
        n = open_jobs(x, list, true, &n_others);
        ok = !x->failed;
        if (!ok || (n == 0 && n_others == 0)) break;
        ok = n > 0 ? ask(x, list, n) : wait_for_others(x, n_others);
    }
    for (size_t i = 0; i < x->n_job; i++) release(&x->jobs[i]);
    free(list);
    return ok;
}
