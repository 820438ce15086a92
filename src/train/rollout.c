/* train/rollout.c – samples and rewards. */
#include "train/rollout.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

/* ---- problems ---- */

enum { MAX_SETS = 64 };

/* The rows of one benchmark in a file, as text. */
typedef struct part {
    const lb_bench *bench;
    lb_buf text;
} part;

typedef struct sorting {
    const char *task;
    part parts[MAX_SETS];
    int n;
} sorting;

static const char *name_of(const json_t *row, const char *otherwise)
{
    const char *name = json_string_value(json_object_get(row, "task"));
    if (!name) name = json_string_value(json_object_get(row, "family"));
    return name ? name : otherwise;
}

static part *part_of(sorting *s, const char *name, const char *where, lb_err *err)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->parts[i].bench->name, name) == 0) return &s->parts[i];
    const lb_bench **list = NULL;
    int n;
    if (!lb_benches_of(name, &list, &n, err)) return lb_wrap(err, "%s", where), NULL;
    bool one = n == 1 && s->n < MAX_SETS;
    if (one) s->parts[s->n++] = (part){.bench = list[0]};
    free(list);
    return one ? &s->parts[s->n - 1] : lb_fail_null(err, LB_EFORMAT, "%s: '%s' is no single benchmark", where, name);
}

static bool sort_row(void *arg, json_t *row, const char *where, lb_err *err)
{
    sorting *s = arg;
    const char *name = name_of(row, s->task);
    part *p = name ? part_of(s, name, where, err) : NULL;
    char *text = p ? json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (!name)
        lb_fail(err, LB_EFORMAT, "%s: neither 'task' nor 'family' says which benchmark's prompt and grader it wants",
                where);
    if (text) {
        lb_buf_str(&p->text, text);
        lb_buf_byte(&p->text, '\n');
    }
    free(text);
    json_decref(row);
    return text && lb_buf_ok(&p->text, "the problems", err);
}

static bool load_file(lb_practice *p, const char *path, const char *task, lb_err *err)
{
    lb_map m;
    sorting s = {.task = task};
    if (!lb_map_open(&m, path, err)) return false;
    bool ok = lb_jsonl_each((const char *)m.p, m.size, path, 0, sort_row, &s, NULL, err);
    lb_map_close(&m);
    ok = ok && (s.n > 0 || lb_fail(err, LB_EFORMAT, "%s has no problems", path)) &&
         (p->sets = lb_alloc((size_t)s.n, sizeof *p->sets, "the problems", err)) != NULL;
    for (int i = 0; i < s.n; i++) {
        if (ok)
            ok = lb_items_parse(s.parts[i].bench, 0, s.parts[i].text.p, s.parts[i].text.n, path, NULL,
                                &p->sets[p->n_set], err);
        p->n_set += ok;
        lb_buf_free(&s.parts[i].text);
    }
    return ok;
}

static bool load_benches(lb_practice *p, const char *names, const char *data_dir, lb_err *err)
{
    const lb_bench **list = NULL;
    int n;
    bool ok = lb_benches_of(names, &list, &n, err) &&
              (p->sets = lb_alloc((size_t)n, sizeof *p->sets, "the problems", err)) != NULL;
    for (int i = 0; ok && i < n; i++) {
        ok = lb_items_load(list[i], data_dir, NULL, &p->sets[i], err);
        p->n_set += ok;
    }
    free(list);
    return ok;
}

bool lb_practice_load(lb_practice *p, const char *source, const char *task, const char *data_dir,
                      bool allow_weak_sandbox, lb_err *err)
{
    *p = (lb_practice){0};
    bool code = false,
         ok = lb_file_exists(source) ? load_file(p, source, task, err) : load_benches(p, source, data_dir, err);
    size_t n = 0;
    for (int i = 0; i < p->n_set; i++) n += (size_t)p->sets[i].n;
    ok = ok && (p->p = lb_alloc(n, sizeof *p->p, "the problems", err)) != NULL;
    for (int i = 0; ok && i < p->n_set; i++)
        for (int j = 0; j < p->sets[i].n; j++) {
            const lb_item *it = &p->sets[i].p[j];
            p->p[p->n++] = it;
            p->hash = lb_hash_bytes(&it->hash, sizeof it->hash, p->hash);
            code |= it->bench->runs_code;
        }
    if (ok && code)
        ok = (p->sandbox = lb_sandbox_open(NULL, allow_weak_sandbox, err)) != NULL ||
             lb_wrap(err, "%s has problems that want programs run", source);
    if (!ok) lb_practice_free(p);
    return ok;
}

void lb_practice_free(lb_practice *p)
{
    for (int i = 0; i < p->n_set; i++) lb_items_free(&p->sets[i]);
    lb_sandbox_close(p->sandbox);
    free(p->sets);
    free(p->p);
    *p = (lb_practice){0};
}

/* A pseudorandom permutation of 0…n−1 without a table: a Feistel network over the next power of four, walked until it
 * falls below n (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). */
static uint64_t permuted(uint64_t i, uint64_t n, uint64_t seed)
{
    int half = 1;
    while (half < 31 && (uint64_t)1 << (2 * half) < n) half++;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t l = i >> half, r = i & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t next = l ^ (lb_mix64(seed ^ lb_mix64(r + (round << 32))) & mask);
            l = r, r = next;
        }
        i = l << half | r;
    } while (i >= n);
    return i;
}

const lb_item *lb_practice_at(const lb_practice *p, uint64_t seed, int64_t i)
{
    uint64_t n = (uint64_t)p->n, epoch = (uint64_t)i / n;
    return p->p[permuted((uint64_t)i % n, n, lb_mix64(seed) + epoch)];
}

/* ---- samples ---- */

typedef struct job {
    lb_request r;
    lb_rollout *out;
    lb_ids prompt;
    bool in_thinking, oom;
    size_t cap;                  /* of out->logp while it grows */
    struct batch *batch;
} job;

typedef struct batch {
    lb_target *t;
    const lb_practice *p;
    job *jobs;
    int n;
    bool failed;
    lb_err *err;
} batch;

static bool on_token(lb_request *r, int id, float logp)
{
    (void)id;
    job *j = r->user;
    size_t at = j->prompt.n + (size_t)r->n_out - 1; /* n_out counts this token */
    if (!lb_grow(&j->out->logp, &j->cap, at + 1, sizeof *j->out->logp, "a sample", j->batch->err)) j->oom = true;
    else j->out->logp[at] = logp;
    return !j->oom;
}

static void on_done(lb_request *r)
{
    job *j = r->user;
    lb_rollout *o = j->out;
    size_t n = j->prompt.n + (size_t)r->n_out;
    if (j->oom || !(o->ids = lb_alloc(n, sizeof *o->ids, "a sample", j->batch->err))) {
        j->batch->failed = true;
        return;
    }
    memcpy(o->ids, j->prompt.p, j->prompt.n * sizeof *o->ids);
    memcpy(o->ids + j->prompt.n, r->out, (size_t)r->n_out * sizeof *o->ids);
    for (size_t i = 0; o->logp && i < j->prompt.n; i++) o->logp[i] = 0;
    o->n = (int)n, o->n_prompt = (int)j->prompt.n;
    o->truncated = r->finish == LB_FINISH_LENGTH;
}

static bool prepare(batch *b, job *j, const lb_rollout_opt *o, int sample)
{
    const lb_item *it = j->out->item;
    lb_hash unused;
    if (!lb_target_prompt(b->t, NULL, it->prompt, NULL, &j->prompt, &j->in_thinking, &unused, b->err))
        return lb_wrap(b->err, "problem %s", it->id);
    j->batch = b;
    j->r = (lb_request){.prompt = j->prompt.p,
                        .n_prompt = (int)j->prompt.n,
                        .sampling = o->sampling,
                        .max_new = o->max_new,
                        .stop = b->t->gen.eos,
                        .n_stop = b->t->gen.n_eos,
                        .want_logprobs = true,
                        .user = j,
                        .on_token = on_token,
                        .on_done = on_done,
                        .key = lb_rng_key_of(o->seed, it->hash.lo ^ lb_mix64(o->round), (uint64_t)sample)};
    return true;
}

static bool grade(batch *b, job *j, lb_err *err)
{
    lb_rollout *o = j->out;
    lb_buf text = {0};
    int n = o->n - o->n_prompt;
    if (!o->truncated && n > 0) n--; /* the stop token */
    lb_grade g = {0};
    lb_grader how = {.sandbox = b->p->sandbox, .in_thinking = j->in_thinking};
    bool ok = lb_tokenizer_decode(b->t->tok, o->ids + o->n_prompt, (size_t)n, false, &text, err);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == 0) text.p[i] = ' ';
    ok = ok && (o->truncated || o->item->bench->grade(o->item, lb_buf_cstr(&text), &how, &g, err));
    o->right = !o->truncated && g.verdict == LB_RIGHT; /* an answer that was cut off is worth nothing */
    lb_buf_free(&text);
    return ok;
}

typedef struct grading {
    batch *b;
    lb_err *errs;                /* [n] */
} grading;

static void grade_some(void *arg, int begin, int end)
{
    grading *g = arg;
    for (int i = begin; i < end; i++) grade(g->b, &g->b->jobs[i], &g->errs[i]);
}

static bool grade_all(batch *b, lb_err *err)
{
    grading g = {b, lb_alloc((size_t)b->n, sizeof *g.errs, "the rewards", err)};
    if (!g.errs) return false;
    lb_parallel(b->t->model->ex, b->n, 1, grade_some, &g);
    bool ok = true;
    for (int i = 0; ok && i < b->n; i++)
        if (g.errs[i].code != LB_OK) {
            ok = false;
            if (err) *err = g.errs[i];
        }
    free(g.errs);
    return ok;
}

bool lb_rollout_run(lb_target *t, const lb_practice *p, const lb_item *const *items, int n_item, int group,
                    const lb_rollout_opt *o, lb_rollout *out, lb_err *err)
{
    batch b = {.t = t, .p = p, .n = n_item * group, .err = err};
    size_t n = (size_t)b.n, refused;
    memset(out, 0, n * sizeof *out);
    b.jobs = lb_alloc(n, sizeof *b.jobs, "the samples", err);
    lb_request **list = b.jobs ? lb_alloc(n, sizeof *list, "the samples", err) : NULL;
    bool ok = list != NULL;
    for (int i = 0; ok && i < b.n; i++) {
        out[i].item = items[i / group];
        b.jobs[i].out = &out[i];
        list[i] = &b.jobs[i].r;
        ok = prepare(&b, &b.jobs[i], o, i % group);
    }
    lb_generate_opt go = {.failed = &b.failed, .stop = o->stop};
    ok = ok && lb_generate(t, list, n, &go, &refused, err) && grade_all(&b, err);
    for (int i = 0; b.jobs && i < b.n; i++) lb_ids_free(&b.jobs[i].prompt);
    if (!ok)
        for (int i = 0; i < b.n; i++) lb_rollout_free(&out[i]);
    free(list);
    free(b.jobs);
    return ok;
}

void lb_rollout_free(lb_rollout *r)
{
    free(r->ids);
    free(r->logp);
    *r = (lb_rollout){0};
}
