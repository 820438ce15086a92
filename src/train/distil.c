/* train/distil.c – sft and kd: the traces, against themselves or against the teacher's distribution. */
#include "base/file.h"
#include "base/mem.h"
#include "train/stage.h"
#include "train/topk.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GAMMA_SEQUENCES = 20 };       /* BitDistiller measures the teacher's confidence on about so many batches */

typedef struct distil {
    lb_corpus corpus;
    lb_packer *packer;
    float *h_teacher;                /* [seq_tokens, d] device; NULL without a teacher */
    lb_topk cache;                   /* the teacher's largest probabilities, where the stage keeps top_k of them */
    int *top_ids;                    /* [seq_tokens, top_k] */
    float *top_p;
    float *weight;                   /* [seq_tokens] */
    lb_packed *batch;                /* [n_seq] copies, arrays owned */
    int n_seq;                       /* sequences of a step */
    double gamma;                    /* of cakld; −1 until measured */
} distil;

static bool has_teacher(const lb_stage *s) { return s->st->kind == LB_STAGE_KD; }

static void close_distil(lb_stage *s)
{
    distil *d = s->own;
    if (!d) return;
    for (int i = 0; d->batch && i < d->n_seq; i++)
        free(d->batch[i].ids), free(d->batch[i].begin), free(d->batch[i].target), free(d->batch[i].doc);
    lb_packer_close(d->packer);
    lb_corpus_free(&d->corpus);
    if (d->h_teacher) lb_exec_free(s->x->ex, d->h_teacher);
    lb_topk_close(&d->cache);
    free(d->top_ids);
    free(d->top_p);
    free(d->weight);
    free(d->batch);
    free(d);
    s->own = NULL;
}

/* The teacher is asked once, then closed: it does not sit beside the student. */
static bool open_cache(lb_stage *s, distil *d, lb_err *err)
{
    const lb_train_stage *st = s->st;
    size_t n = (size_t)st->seq_tokens * (size_t)st->top_k;
    char name[64];
    snprintf(name, sizeof name, "teacher-%s.topk", st->name);
    char *path = lb_path_join(s->x->dir, name, err);
    bool ok = path && lb_stage_teacher(s, err) &&
              lb_topk_open(&d->cache, path, s->x->teacher, s->x->ex, &d->corpus, st->top_k, (float)st->temperature,
                           st->seq_tokens, s->x->stop, err) &&
              (d->top_ids = lb_alloc(n, sizeof *d->top_ids, "the teacher's choice", err)) &&
              (d->top_p = lb_alloc(n, sizeof *d->top_p, "the teacher's choice", err));
    lb_model_grad_close(s->x->teacher);
    s->x->teacher = NULL;
    free(path);
    return ok;
}

static bool open_distil(lb_stage *s, lb_err *err)
{
    const lb_train_stage *st = s->st;
    size_t t = (size_t)st->seq_tokens;
    int ctx = lb_config_ctx(lb_model_grad_config(lb_student_model(s->x->student)));
    distil *d = s->own = lb_alloc(1, sizeof *d, "the stage", err);
    if (!d) return false;
    *d = (distil){.gamma = -1, .n_seq = st->tokens / st->seq_tokens};
    bool ok =
        lb_corpus_load(&d->corpus, s->x->base, s->x->trace_file, st->seq_tokens < ctx ? st->seq_tokens : ctx, err) &&
        (d->packer = lb_packer_open(&d->corpus, st->seq_tokens, st->prompt_loss,
                                    (uint64_t)s->x->recipe->seed + (uint64_t)s->index, err)) &&
        (d->weight = lb_alloc(t, sizeof *d->weight, "a sequence", err)) &&
        (d->batch = lb_alloc((size_t)d->n_seq, sizeof *d->batch, "a batch", err));
    for (int i = 0; ok && i < d->n_seq; i++)
        ok = (d->batch[i].ids = lb_alloc(t, sizeof(int), "a batch", err)) &&
             (d->batch[i].target = lb_alloc(t, sizeof(int), "a batch", err)) &&
             (d->batch[i].begin = lb_alloc(t + 1, sizeof(int), "a batch", err)) &&
             (d->batch[i].doc = lb_alloc(t, sizeof(int), "a batch", err));
    if (ok && has_teacher(s) && st->top_k > 0) ok = open_cache(s, d, err);
    else if (ok && has_teacher(s))
        ok = lb_stage_teacher(s, err) &&
             (d->h_teacher = lb_exec_alloc(s->x->ex, t * (size_t)lb_model_grad_config(s->x->teacher)->d_model,
                                           sizeof *d->h_teacher, "the teacher's states", err));
    if (!ok) close_distil(s);
    return ok;
}

/* The next sequence, kept: a packer's arrays are good until its next call. */
static bool deal(distil *d, lb_packed *out, lb_err *err)
{
    lb_packed p;
    if (!lb_packer_next(d->packer, &p, err)) return false;
    memcpy(out->ids, p.ids, (size_t)p.n_tok * sizeof(int));
    memcpy(out->target, p.target, (size_t)p.n_tok * sizeof(int));
    memcpy(out->begin, p.begin, ((size_t)p.n_doc + 1) * sizeof(int));
    memcpy(out->doc, p.doc, (size_t)p.n_doc * sizeof(int));
    out->n_tok = p.n_tok, out->n_doc = p.n_doc, out->n_target = p.n_target;
    return true;
}

static lb_vocab_loss loss_of(const lb_stage *s, distil *d, const lb_packed *p, double norm)
{
    const lb_train_stage *st = s->st;
    lb_vocab_loss a = {
        .target = p->target, .weight = d->weight, .norm = norm, .ce = st->kind == LB_STAGE_SFT ? 1 : (float)st->ce};
    for (int i = 0; i < p->n_tok; i++) d->weight[i] = p->target[i] >= 0;
    if (!has_teacher(s)) return a;
    if (st->top_k > 0) a.teacher = (lb_teacher){.top_k = st->top_k, .top_ids = d->top_ids, .top_p = d->top_p};
    else a.teacher = (lb_teacher){.h = d->h_teacher, .head = lb_model_grad_head(s->x->teacher)};
    a.distill = lb_stage_divergence(st, d->gamma);
    return a;
}

static lb_docs docs_of(const lb_packed *p)
{
    return (lb_docs){.n_tok = p->n_tok, .n_doc = p->n_doc, .ids = p->ids, .begin = p->begin};
}

/* What the teacher says of a sequence, into d. */
static bool ask_teacher(lb_stage *s, distil *d, const lb_packed *p, lb_err *err)
{
    lb_docs docs = docs_of(p);
    if (!has_teacher(s)) return true;
    if (s->st->top_k == 0)
        return lb_model_grad_infer(s->x->teacher, &docs, d->h_teacher, err) || lb_wrap(err, "the teacher");
    lb_topk_rows(&d->cache, p, d->top_ids, d->top_p);
    return true;
}

/* CAKLD's γ, before the first step: the teacher's mean largest probability. The packer is then where it was. */
static bool measure_gamma(lb_stage *s, distil *d, lb_err *err)
{
    lb_pack_state at = lb_packer_state(d->packer);
    double sum = 0, weight = 0;
    bool ok = true;
    d->gamma = 0;
    for (int i = 0; ok && i < GAMMA_SEQUENCES; i++) {
        lb_vocab_sums sums;
        lb_packed *p = &d->batch[0];
        if (!(ok = deal(d, p, err))) break;
        lb_docs docs = docs_of(p);
        lb_vocab_loss a = loss_of(s, d, p, 0);
        a.distill = (lb_distill){.temperature = (float)s->st->temperature};
        ok = ask_teacher(s, d, p, err) && lb_model_grad_measure(lb_student_model(s->x->student), &docs, &a, &sums, err);
        if (ok) sum += sums.teacher_top * sums.weight, weight += sums.weight;
    }
    d->gamma = weight > 0 ? sum / weight : 0.5;
    return ok && lb_packer_seek(d->packer, at, err);
}

static bool step_distil(lb_stage *s, lb_step_log *log, lb_err *err)
{
    distil *d = s->own;
    double norm = 0, ce = 0, kl = 0, reverse = 0, entropy = 0;
    if (s->st->gamma > 0) d->gamma = s->st->gamma;
    if (s->st->divergence == LB_KL_CAKLD && has_teacher(s) && d->gamma < 0 && !measure_gamma(s, d, err)) return false;
    for (int i = 0; i < d->n_seq; i++) {
        if (!deal(d, &d->batch[i], err)) return false;
        norm += d->batch[i].n_target;
    }
    log->loss = 0;
    for (int i = 0; i < d->n_seq; i++) {
        lb_vocab_sums sums;
        const lb_packed *p = &d->batch[i];
        lb_docs docs = docs_of(p);
        lb_vocab_loss a = loss_of(s, d, p, norm);
        if (!ask_teacher(s, d, p, err)) return false;
        if (!lb_model_grad_loss(lb_student_model(s->x->student), &docs, &a, &sums, err)) return false;
        double share = sums.weight / norm;
        log->loss += sums.loss, log->tokens += p->n_tok;
        ce += sums.ce, entropy += share * sums.entropy, kl += share * sums.kl_forward,
            reverse += share * sums.kl_reverse;
    }
    log->ce = ce, log->entropy = entropy;
    if (has_teacher(s)) log->kl_forward = kl, log->kl_reverse = reverse;
    return true;
}

static json_t *save_distil(const lb_stage *s)
{
    const distil *d = s->own;
    lb_pack_state at = lb_packer_state(d->packer);
    char hex[33];
    lb_hash_hex(d->corpus.hash, hex);
    return json_pack("{s:I, s:I, s:f, s:s}", "epoch", (json_int_t)at.epoch, "next", (json_int_t)at.next, "gamma",
                     d->gamma, "corpus", hex);
}

static bool load_distil(lb_stage *s, const json_t *o, lb_err *err)
{
    distil *d = s->own;
    lb_pack_state at;
    const char *hash;
    char hex[33];
    lb_hash_hex(d->corpus.hash, hex);
    if (!lb_json_get_int(o, "epoch", 0, INT64_MAX, &at.epoch, "the checkpoint", err) ||
        !lb_json_get_int(o, "next", 0, INT64_MAX, &at.next, "the checkpoint", err) ||
        !lb_json_get_real(o, "gamma", -1, 1, &d->gamma, "the checkpoint", err) ||
        !lb_json_get_str(o, "corpus", &hash, "the checkpoint", err))
        return false;
    if (strcmp(hash, hex) != 0)
        return lb_fail(err, LB_EUSAGE, "%s has changed since the checkpoint was written", s->x->trace_file);
    return lb_packer_seek(d->packer, at, err);
}

const lb_stage_row lb_stage_distil = {open_distil, step_distil, save_distil, load_distil, close_distil};
