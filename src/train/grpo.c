/* train/grpo.c – grpo and opd: the student writes, graders or the teacher judge.
 *
 *     GRPO (arXiv:2402.03300)   A = (r − mean r)/(std r + 1e-6) within the samples of one prompt; token-level mean and two
 *                               clips (DAPO, arXiv:2503.14476); groups of equal rewards have no advantage and are left out
 *     OPD                       the teacher's distribution on the student's own tokens (arXiv:2306.13649)
 *
 * Samples come from the packed model, on the kernels that will serve it. How far its log-probabilities are from those of
 * the tape is logged as "mismatch" (mean absolute difference per token). */
#include "base/file.h"
#include "base/mem.h"
#include "train/prefix.h"
#include "train/rollout.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct sequence {            /* samples on one tape: where they lie in the arrays of `writing` */
    int first, n_tok, first_doc, n_doc;
} sequence;

typedef struct writing {
    lb_practice practice;
    int64_t dealt;                   /* prompts so far */
    lb_rollout *r;                   /* [n] of this batch; owned */
    int n;
    /* the batch as sequences: documents one after another, all of them in these */
    int *ids, *target, *begin;       /* begin: of each document within its sequence, n_doc+1 for each sequence */
    float *weight, *advantage, *old_logp, *ref_logp, *sampled;
    lb_vocab_row *rows;
    sequence *seq;
    int n_seq;
    double norm;                     /* tokens that count */
    float *h_teacher;                /* [seq_tokens, d] device, opd */
    lb_student *reference;           /* the stage's start, where kl > 0 */
} writing;

static void free_batch(writing *w)
{
    for (int i = 0; i < w->n; i++) lb_rollout_free(&w->r[i]);
    void *all[] = {w->r,        w->ids,      w->target,  w->begin, w->weight, w->advantage,
                   w->old_logp, w->ref_logp, w->sampled, w->rows,  w->seq};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    w->r = NULL, w->n = 0, w->n_seq = 0;
    w->ids = w->target = w->begin = NULL, w->seq = NULL, w->rows = NULL;
    w->weight = w->advantage = w->old_logp = w->ref_logp = w->sampled = NULL;
}

static void close_writing(lb_stage *s)
{
    writing *w = s->own;
    if (!w) return;
    free_batch(w);
    lb_practice_free(&w->practice);
    lb_student_close(w->reference);
    if (w->h_teacher) lb_exec_free(s->x->ex, w->h_teacher);
    free(w);
    s->own = NULL;
}

/* ---- the reference of the KL term ---- */

/* The model as the stage found it; kept in a file, because a resume finds another one. */
static bool open_reference(lb_stage *s, writing *w, lb_err *err)
{
    char name[80];
    snprintf(name, sizeof name, "reference-%s.safetensors", s->st->name);
    char *path = lb_path_join(s->x->dir, name, err);
    lb_exec *ex = s->x->ex;
    bool ok = path && (lb_file_exists(path) || lb_params_save(s->x->student, ex, path, err)) &&
              (w->reference = lb_student_twin(s->x->student, err)) != NULL && lb_params_load(w->reference, ex, path, err);
    free(path);
    return ok;
}

/* ---- samples ---- */

static lb_rollout_opt rollout_opt(const lb_stage *s, uint64_t round)
{
    const lb_train_stage *st = s->st;
    return (lb_rollout_opt){
        .max_new = st->max_new,
        .seed = (uint64_t)s->x->recipe->seed + (uint64_t)s->index,
        .round = round,
        .stop = s->x->stop,
        .sampling = {.temperature = (float)st->sample_temperature, .top_p = (float)st->top_p, .repetition_penalty = 1}};
}

/* Samples of the packed student: it is written and opened like any other model. */
static bool sample(lb_stage *s, const lb_item *const *items, int n_item, int group, uint64_t round, lb_rollout *out,
                   lb_err *err)
{
    writing *w = s->own;
    lb_target t = {0};
    lb_rollout_opt o = rollout_opt(s, round);
    char *dir = lb_path_join(s->x->dir, "rollout", err);
    bool ok = dir && lb_student_export(s->x->student, dir, s->st->name, err) &&
              lb_target_open(&t, dir, s->x->ex, err) &&
              lb_rollout_run(&t, &w->practice, items, n_item, group, &o, out, err);
    lb_target_close(&t);
    free(dir);
    return ok;
}

static bool pick(lb_stage *s, int n, const lb_item ***out, lb_err *err)
{
    writing *w = s->own;
    const lb_item **items = *out = lb_alloc((size_t)n, sizeof *items, "the problems", err);
    for (int i = 0; items && i < n; i++)
        items[i] = lb_practice_at(&w->practice, (uint64_t)s->x->recipe->seed + (uint64_t)s->index, w->dealt + i);
    return items != NULL;
}

/* Whether the student solves enough for rewards to teach it anything: below, groups are all wrong and RL collapses. */
static bool gate(lb_stage *s, lb_err *err)
{
    const lb_train_stage *st = s->st;
    int n = st->gate_samples, right = 0;
    const lb_item **items = NULL;
    lb_rollout *r = lb_alloc((size_t)n, sizeof *r, "the samples", err);
    bool ok = r && pick(s, n, &items, err) && sample(s, items, n, 1, UINT64_MAX, r, err);
    for (int i = 0; ok && i < n; i++) {
        right += r[i].right;
        lb_rollout_free(&r[i]);
    }
    free(items);
    free(r);
    if (!ok) return false;
    double p = (double)right / n;
    return p >= st->gate ||
           lb_fail(
               err, LB_EGATE,
               "stage %s does not start: the model solves %.1f%% ± %.1f%% of %d problems, the gate is %.0f%%. From so "
               "weak a start reinforcement learning finds nothing to reward and collapses (arXiv:2601.14888, table 2): "
               "distil first, or lower 'gate'",
               st->name, 100 * p, 100 * sqrt(p * (1 - p) / n), n, 100 * st->gate);
}

static bool open_writing(lb_stage *s, lb_err *err)
{
    const lb_train_stage *st = s->st;
    lb_train_ctx *x = s->x;
    writing *w = s->own = lb_alloc(1, sizeof *w, "the stage", err);
    if (!w) return false;
    bool ok = lb_practice_load(&w->practice, st->prompts, st->task, x->data_dir, x->allow_weak_sandbox, err);
    if (ok && st->kind == LB_STAGE_OPD)
        ok = lb_stage_teacher(s, err) &&
             (w->h_teacher =
                  lb_exec_alloc(x->ex, (size_t)st->seq_tokens * (size_t)lb_model_grad_config(x->teacher)->d_model,
                                sizeof *w->h_teacher, "the teacher's states", err));
    if (ok && st->kl > 0) ok = open_reference(s, w, err);
    if (!ok) close_writing(s);
    return ok;
}

/* ---- a batch ---- */

static void advantages(const lb_train_stage *st, const lb_rollout *r, int group, float *out, bool *keep)
{
    double mean = 0, var = 0;
    for (int i = 0; i < group; i++) mean += r[i].right;
    mean /= group;
    for (int i = 0; i < group; i++) var += (r[i].right - mean) * (r[i].right - mean);
    double std = sqrt(var / group);
    *keep = std > 0 || !st->drop_equal;
    for (int i = 0; i < group; i++) out[i] = (float)((r[i].right - mean) / (std + 1e-6));
}

static bool alloc_batch(writing *w, size_t n_tok, lb_err *err)
{
    size_t n = (size_t)w->n;
    return (w->ids = lb_alloc(n_tok, sizeof(int), "the batch", err)) &&
           (w->target = lb_alloc(n_tok, sizeof(int), "the batch", err)) &&
           (w->begin = lb_alloc(2 * n, sizeof(int), "the batch", err)) &&
           (w->weight = lb_alloc(n_tok, sizeof(float), "the batch", err)) &&
           (w->advantage = lb_alloc(n_tok, sizeof(float), "the batch", err)) &&
           (w->old_logp = lb_alloc(n_tok, sizeof(float), "the batch", err)) &&
           (w->ref_logp = lb_alloc(n_tok, sizeof(float), "the batch", err)) &&
           (w->sampled = lb_alloc(n_tok, sizeof(float), "the batch", err)) &&
           (w->rows = lb_alloc(n_tok, sizeof *w->rows, "the batch", err)) &&
           (w->seq = lb_alloc(n, sizeof *w->seq, "the batch", err));
}

/* One sample behind the others of the last sequence, or in a new one. A row asks for the token after it. */
static void lay_out(writing *w, const lb_rollout *r, float advantage, int most, int *at, int *docs)
{
    sequence *q = w->n_seq ? &w->seq[w->n_seq - 1] : NULL;
    if (!q || q->n_tok + r->n > most) {
        if (q) w->begin[(*docs)++] = q->n_tok;
        q = &w->seq[w->n_seq++];
        *q = (sequence){.first = *at, .first_doc = *docs};
    }
    w->begin[(*docs)++] = q->n_tok;
    for (int i = 0; i < r->n; i++) {
        bool asked = i + 1 < r->n && i + 1 >= r->n_prompt;
        w->ids[*at + i] = r->ids[i];
        w->target[*at + i] = asked ? r->ids[i + 1] : -1;
        w->weight[*at + i] = asked;
        w->advantage[*at + i] = asked ? advantage : 0;
        w->sampled[*at + i] = asked && r->logp ? r->logp[i + 1] : 0;
        w->norm += asked;
    }
    q->n_tok += r->n, q->n_doc++;
    *at += r->n;
}

static bool pack(lb_stage *s, writing *w, lb_step_log *log, lb_err *err)
{
    const lb_train_stage *st = s->st;
    size_t n_tok = 0;
    float a[4096];
    int kept = 0, at = 0, docs = 0, right = 0, cut = 0;
    double length = 0;
    for (int i = 0; i < w->n; i++) {
        n_tok += (size_t)w->r[i].n;
        right += w->r[i].right, cut += w->r[i].truncated, length += w->r[i].n - w->r[i].n_prompt;
        if (w->r[i].n > st->seq_tokens)
            return lb_fail(err, LB_EUSAGE,
                           "a sample of %d tokens does not fit in seq_tokens %d: raise it, or lower max_new", w->r[i].n,
                           st->seq_tokens);
    }
    if (!alloc_batch(w, n_tok, err)) return false;
    w->norm = 0, w->n_seq = 0;
    for (int g = 0; g < w->n; g += st->group) {
        bool keep;
        advantages(st, w->r + g, st->group, a, &keep);
        if (!keep && st->kind == LB_STAGE_GRPO) continue;
        kept++;
        for (int i = 0; i < st->group; i++) lay_out(w, &w->r[g + i], a[i], st->seq_tokens, &at, &docs);
    }
    if (w->n_seq) w->begin[docs] = w->seq[w->n_seq - 1].n_tok;
    log->pass = (double)right / w->n, log->reward = log->pass, log->truncated = (double)cut / w->n,
    log->length = length / w->n;
    log->kept = (double)kept * st->group / w->n;
    return true;
}

static lb_docs docs_of(const writing *w, const sequence *q)
{
    return (lb_docs){.n_tok = q->n_tok, .n_doc = q->n_doc, .ids = w->ids + q->first, .begin = w->begin + q->first_doc};
}

/* Log-probabilities of the batch by one model, into out. */
static bool measure(lb_stage *s, writing *w, lb_student *by, float *out, lb_err *err)
{
    for (int i = 0; i < w->n_seq; i++) {
        const sequence *q = &w->seq[i];
        lb_docs docs = docs_of(w, q);
        lb_vocab_sums sums;
        lb_vocab_loss a = {.target = w->target + q->first,
                           .weight = w->weight + q->first,
                           .ce = 1,
                           .rows = w->rows + q->first,
                           .temperature = (float)s->st->sample_temperature};
        if (!lb_model_grad_measure(lb_student_model(by), &docs, &a, &sums, err)) return false;
        for (int j = 0; j < q->n_tok; j++) out[q->first + j] = w->rows[q->first + j].logp;
    }
    return true;
}

static bool write_batch(lb_stage *s, writing *w, lb_step_log *log, lb_err *err)
{
    const lb_train_stage *st = s->st;
    const lb_item **items = NULL;
    free_batch(w);
    w->r = lb_alloc((size_t)st->n_prompt * (size_t)st->group, sizeof *w->r, "the samples", err);
    bool ok = w->r && pick(s, st->n_prompt, &items, err) &&
              sample(s, items, st->n_prompt, st->group, (uint64_t)(s->step / st->updates), w->r, err);
    if (ok) w->n = st->n_prompt * st->group, w->dealt += st->n_prompt;
    free(items);
    ok = ok && pack(s, w, log, err);
    if (ok && w->reference) ok = measure(s, w, w->reference, w->ref_logp, err);
    if (ok && st->kind == LB_STAGE_GRPO && st->updates > 1) ok = measure(s, w, s->x->student, w->old_logp, err);
    return ok;
}

static lb_vocab_loss loss_of(const lb_stage *s, const writing *w, const sequence *q)
{
    const lb_train_stage *st = s->st;
    lb_vocab_loss a = {.target = w->target + q->first,
                       .weight = w->weight + q->first,
                       .norm = w->norm,
                       .rows = w->rows + q->first,
                       .temperature = (float)st->sample_temperature};
    if (st->kind == LB_STAGE_OPD) {
        a.teacher = (lb_teacher){.h = w->h_teacher, .head = lb_model_grad_head(s->x->teacher)};
        a.distill = lb_stage_divergence(st, st->gamma > 0 ? st->gamma : 0.5);
        a.ce = (float)st->ce;
        return a;
    }
    a.policy = (lb_policy){.advantage = w->advantage + q->first,
                           .old_logp = st->updates > 1 ? w->old_logp + q->first : NULL,
                           .ref_logp = w->reference ? w->ref_logp + q->first : NULL,
                           .clip_low = (float)st->clip_low,
                           .clip_high = (float)st->clip_high,
                           .kl = (float)st->kl};
    return a;
}

static bool step_writing(lb_stage *s, lb_step_log *log, lb_err *err)
{
    writing *w = s->own;
    const lb_train_stage *st = s->st;
    if (s->step == 0 && st->kind == LB_STAGE_GRPO && st->gate > 0 && !gate(s, err)) return false;
    if (s->step % st->updates == 0 && !write_batch(s, w, log, err)) return false;
    s->held = (s->step + 1) % st->updates != 0;
    double mismatch = 0;
    log->loss = 0;
    if (w->n_seq) log->entropy = 0;
    if (w->n_seq && st->kind == LB_STAGE_GRPO) log->ratio = log->clipped = 0;
    if (w->reference) log->k3 = 0;
    if (st->kind == LB_STAGE_OPD) log->kl_forward = log->kl_reverse = 0;
    for (int i = 0; i < w->n_seq; i++) {
        const sequence *q = &w->seq[i];
        lb_docs docs = docs_of(w, q);
        lb_vocab_loss a = loss_of(s, w, q);
        lb_vocab_sums sums;
        if (st->kind == LB_STAGE_OPD && !lb_model_grad_infer(s->x->teacher, &docs, w->h_teacher, err))
            return lb_wrap(err, "the teacher");
        if (!lb_model_grad_loss(lb_student_model(s->x->student), &docs, &a, &sums, err)) return false;
        double share = sums.weight / w->norm;
        log->loss += sums.loss, log->tokens += q->n_tok, log->entropy += share * sums.entropy;
        if (st->kind == LB_STAGE_OPD)
            log->kl_forward += share * sums.kl_forward, log->kl_reverse += share * sums.kl_reverse;
        if (st->kind == LB_STAGE_GRPO) log->ratio += share * sums.ratio, log->clipped += share * sums.clipped;
        if (w->reference) log->k3 += share * sums.k3;
        for (int j = q->first; j < q->first + q->n_tok; j++)
            if (w->weight[j] > 0) mismatch += fabs((double)w->rows[j].logp - (double)w->sampled[j]);
    }
    if (s->step % st->updates == 0 && w->norm > 0) log->mismatch = mismatch / w->norm;
    return true;
}

static json_t *save_writing(const lb_stage *s)
{
    const writing *w = s->own;
    char hex[33];
    lb_hash_hex(w->practice.hash, hex);
    return json_pack("{s:I, s:s}", "dealt", (json_int_t)w->dealt, "problems", hex);
}

static bool load_writing(lb_stage *s, const json_t *o, lb_err *err)
{
    writing *w = s->own;
    const char *hash;
    char hex[33];
    lb_hash_hex(w->practice.hash, hex);
    if (!lb_json_get_int(o, "dealt", 0, INT64_MAX, &w->dealt, "the checkpoint", err) ||
        !lb_json_get_str(o, "problems", &hash, "the checkpoint", err))
        return false;
    return strcmp(hash, hex) == 0 ||
           lb_fail(err, LB_EUSAGE, "%s has changed since the checkpoint was written", s->st->prompts);
}

const lb_stage_row lb_stage_rollout = {open_writing, step_writing, save_writing, load_writing, close_writing};
