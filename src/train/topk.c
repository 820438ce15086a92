/* train/topk.c – the cache of a teacher's largest probabilities. */
#include "train/topk.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 };                 /* rows of logits at a time */

typedef struct header {
    char magic[8];                   /* "lbtopk1" */
    int32_t k, n_vocab;
    float temperature;
    int32_t n_doc;
    lb_hash corpus, teacher;
} header;

/* Who the teacher is: a hash of the head's and the first tensors' numbers would miss a changed middle, so all of them. */
static bool teacher_hash(lb_model_grad *m, lb_exec *ex, lb_hash *out, lb_err *err)
{
    *out = (lb_hash){0};
    for (size_t i = 0; i < lb_model_grad_count(m); i++) {
        const lb_param *p = lb_model_grad_tensor(m, i)->p;
        size_t n = (size_t)p->n * (size_t)p->k;
        float *v = lb_alloc(n, sizeof *v, "a tensor of the teacher", err);
        if (!v) return false;
        lb_exec_get(ex, v, p->v, n * sizeof *v);
        *out = lb_hash_bytes(v, n * sizeof *v, *out);
        free(v);
    }
    return true;
}

/* ---- making it ---- */

/* The k largest of p [n] and their ids, falling; ties to the lower id. */
static void largest(const float *p, int n, int k, int *ids, float *prob)
{
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (m == k && p[i] <= prob[m - 1]) continue;
        int at = m < k ? m++ : k - 1;
        while (at > 0 && prob[at - 1] < p[i]) prob[at] = prob[at - 1], ids[at] = ids[at - 1], at--;
        prob[at] = p[i], ids[at] = i;
    }
}

static void softmax(float *s, int n, float temperature)
{
    float top = s[0];
    double sum = 0;
    for (int i = 1; i < n; i++) top = s[i] > top ? s[i] : top;
    for (int i = 0; i < n; i++) sum += (double)(s[i] = expf((s[i] - top) / temperature));
    for (int i = 0; i < n; i++) s[i] = (float)((double)s[i] / sum);
}

typedef struct making {
    lb_model_grad *m;
    lb_exec *ex;
    int k, n_vocab, d;
    float temperature;
    float *h, *logits, *host;        /* device [n_tok, d], [CHUNK, n_vocab]; host [CHUNK, n_vocab] */
    int *ids;                        /* [CHUNK, k] */
    float *prob;                     /* [CHUNK, k] */
    lb_out out;
} making;

static void pick_rows(void *arg, int begin, int end)
{
    making *x = arg;
    for (int r = begin; r < end; r++) {
        float *s = x->host + (size_t)r * (size_t)x->n_vocab;
        softmax(s, x->n_vocab, x->temperature);
        largest(s, x->n_vocab, x->k, x->ids + (size_t)r * (size_t)x->k, x->prob + (size_t)r * (size_t)x->k);
    }
}

static bool write_docs(making *x, const lb_docs *docs, lb_err *err)
{
    if (!lb_model_grad_infer(x->m, docs, x->h, err)) return false;
    for (int at = 0; at < docs->n_tok; at += CHUNK) {
        int n = docs->n_tok - at < CHUNK ? docs->n_tok - at : CHUNK;
        lb_linear_run(lb_model_grad_head(x->m), x->logits, x->n_vocab, x->h + (size_t)at * (size_t)x->d, n, x->ex);
        lb_exec_get(x->ex, x->host, x->logits, (size_t)n * (size_t)x->n_vocab * sizeof *x->host);
        lb_parallel(x->ex, n, 1, pick_rows, x);
        for (int r = 0; r < n; r++)
            if (!lb_out_write(&x->out, x->ids + (size_t)r * (size_t)x->k, (size_t)x->k * sizeof(int), err) ||
                !lb_out_write(&x->out, x->prob + (size_t)r * (size_t)x->k, (size_t)x->k * sizeof(float), err))
                return false;
    }
    return true;
}

/* Documents in order, as many at once as fit. */
static bool write_all(making *x, const lb_corpus *c, int n_tok, volatile sig_atomic_t *stop, lb_err *err)
{
    int *ids = lb_alloc((size_t)n_tok, sizeof *ids, "a sequence", err),
        *begin = ids ? lb_alloc((size_t)n_tok + 1, sizeof *begin, "a sequence", err) : NULL;
    bool ok = begin != NULL;
    for (int i = 0; ok && i < c->n;) {
        lb_docs docs = {.ids = ids, .begin = begin};
        for (; i < c->n && docs.n_tok + c->p[i].n <= n_tok; i++) {
            memcpy(ids + docs.n_tok, c->p[i].ids, (size_t)c->p[i].n * sizeof *ids);
            begin[docs.n_doc++] = docs.n_tok;
            docs.n_tok += c->p[i].n;
        }
        begin[docs.n_doc] = docs.n_tok;
        ok = write_docs(x, &docs, err);
        if (ok && stop && *stop)
            ok = lb_fail(err, LB_ESTOPPED, "stopped while the teacher was asked; the same command asks again");
    }
    free(ids);
    free(begin);
    return ok;
}

static bool make(const char *path, const header *h, lb_model_grad *m, lb_exec *ex, const lb_corpus *c, int n_tok,
                 volatile sig_atomic_t *stop, lb_err *err)
{
    making x = {.m = m,
                .ex = ex,
                .k = h->k,
                .n_vocab = h->n_vocab,
                .d = lb_model_grad_config(m)->d_model,
                .temperature = h->temperature,
                .out = {.fd = -1}};
    size_t v = (size_t)h->n_vocab, k = (size_t)h->k, scratch = 0;
    bool ok = lb_linear_check(lb_model_grad_head(m), "the teacher's head", CHUNK, ex, &scratch, err) &&
              lb_exec_reserve(ex, scratch, err) &&
              (x.h = lb_exec_alloc(ex, (size_t)n_tok * (size_t)x.d, sizeof *x.h, "the teacher's states", err)) &&
              (x.logits = lb_exec_alloc(ex, CHUNK * v, sizeof *x.logits, "the teacher's logits", err)) &&
              (x.host = lb_alloc(CHUNK * v, sizeof *x.host, "the teacher's logits", err)) &&
              (x.ids = lb_alloc(CHUNK * k, sizeof *x.ids, "the teacher's choice", err)) &&
              (x.prob = lb_alloc(CHUNK * k, sizeof *x.prob, "the teacher's choice", err)) &&
              lb_out_open(&x.out, path, err) && lb_out_write(&x.out, h, sizeof *h, err) &&
              write_all(&x, c, n_tok, stop, err);
    if (ok) ok = lb_out_commit(&x.out, err);
    else lb_out_abort(&x.out);
    if (x.h) lb_exec_free(ex, x.h);
    if (x.logits) lb_exec_free(ex, x.logits);
    free(x.host);
    free(x.ids);
    free(x.prob);
    return ok;
}

/* ---- reading it ---- */

bool lb_topk_open(lb_topk *t, const char *path, lb_model_grad *teacher, lb_exec *ex, const lb_corpus *c, int k,
                  float temperature, int n_tok, volatile sig_atomic_t *stop, lb_err *err)
{
    *t = (lb_topk){.k = k};
    int n_vocab = lb_model_grad_config(teacher)->n_vocab;
    if (k > n_vocab) return lb_fail(err, LB_EUSAGE, "top_k is %d, the vocabulary has %d", k, n_vocab);
    header h = {
        .magic = "lbtopk1", .k = k, .n_vocab = n_vocab, .temperature = temperature, .n_doc = c->n, .corpus = c->hash};
    if (!teacher_hash(teacher, ex, &h.teacher, err) ||
        !(t->first = lb_alloc((size_t)c->n + 1, sizeof *t->first, "the cache", err)))
        return false;
    for (int i = 0; i < c->n; i++) t->first[i + 1] = t->first[i] + (size_t)c->p[i].n;
    bool ok =
        (lb_file_exists(path) || make(path, &h, teacher, ex, c, n_tok, stop, err)) && lb_map_open(&t->map, path, err);
    if (ok && (t->map.size != sizeof h + t->first[c->n] * (size_t)k * 8 || memcmp(t->map.p, &h, sizeof h) != 0))
        ok = lb_fail(err, LB_EUSAGE, "%s is of another teacher, corpus, temperature or top_k: remove it", path);
    if (!ok) lb_topk_close(t);
    return ok;
}

void lb_topk_close(lb_topk *t)
{
    lb_map_close(&t->map);
    free(t->first);
    *t = (lb_topk){0};
}

void lb_topk_rows(const lb_topk *t, const lb_packed *p, int *ids, float *prob)
{
    size_t k = (size_t)t->k;
    for (int d = 0; d < p->n_doc; d++)
        for (int i = p->begin[d]; i < p->begin[d + 1]; i++) {
            const uint8_t *row = t->map.p + sizeof(header) + (t->first[p->doc[d]] + (size_t)(i - p->begin[d])) * k * 8;
            memcpy(ids + (size_t)i * k, row, k * sizeof(int));
            memcpy(prob + (size_t)i * k, row + k * sizeof(int), k * sizeof(float));
        }
}
