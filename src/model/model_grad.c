/* model/model_grad.c – a whole model on the tape: forward, losses, the way back, plans. */
#include "base/mem.h"
#include "model/grad_node.h"
#include "model/model_grad_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const lb_config *lb_model_grad_config(const lb_model_grad *m) { return m->cfg; }
lb_grad *lb_model_grad_tape(lb_model_grad *m) { return m->g; }
size_t lb_model_grad_count(const lb_model_grad *m) { return m->n_tensor; }
const lb_linear *lb_model_grad_head(const lb_model_grad *m) { return &m->head_linear; }

const lb_model_tensor *lb_model_grad_tensor(const lb_model_grad *m, size_t i)
{
    return i < m->n_tensor ? &m->tensors[i] : NULL;
}

lb_param *lb_model_grad_linear(const lb_model_grad *m, int layer, int expert, lb_block_linear which)
{
    if (layer < 0 || layer >= m->cfg->n_layer) return NULL;
    const lb_grad_layer *l = &m->layers[layer];
    if (expert < 0) return l->b.params[which];
    if (!l->experts || expert >= m->cfg->n_expert || which < LB_BLOCK_GATE) return NULL;
    return l->experts[expert][which - LB_BLOCK_GATE];
}

void lb_model_grad_hook(lb_model_grad *m, int layer, const lb_block_hooks *hooks)
{
    lb_grad_layer *l = &m->layers[layer];
    l->hooked = hooks != NULL;
    if (hooks) l->hooks = *hooks;
}

/* ---- forward ---- */
static bool take_docs(lb_model_grad *m, const lb_docs *d, lb_err *err)
{
    int most = lb_config_ctx(m->cfg);
    if (d->n_doc < 1 || d->n_tok < 1 || d->begin[0] != 0 || d->begin[d->n_doc] != d->n_tok)
        return lb_fail(err, LB_EUSAGE, "%d documents do not make %d tokens", d->n_doc, d->n_tok);
    for (int s = 0; s < d->n_doc; s++) {
        int len = d->begin[s + 1] - d->begin[s];
        if (len < 1) return lb_fail(err, LB_EUSAGE, "document %d of %d is empty", s, d->n_doc);
        if (len > most)
            return lb_fail(err, LB_EUSAGE, "document %d has %d tokens; the model's context is %d: cut it or leave it out", s,
                           len, most);
    }
    size_t n = (size_t)d->n_doc + 1;
    if (!lb_grow(&m->begin, &m->cap_begin, n, sizeof *m->begin, "documents", err)) return false;
    memcpy(m->begin, d->begin, n * sizeof *m->begin);
    m->n_doc = d->n_doc;
    return true;
}

static lb_var *block(void *arg, lb_grad *g, lb_var *x)
{
    const lb_grad_layer *l = arg;
    return lb_block_grad_packed(&l->b, g, x, l->m->n_doc, l->m->begin, l->hooked ? &l->hooks : NULL);
}

static lb_var *final_norm(lb_model_grad *m, lb_var *x)
{
    return lb_grad_rmsnorm(m->g, x, lb_grad_param(m->g, m->final_norm), m->cfg->norm_eps);
}

lb_var *lb_model_grad_hidden(lb_model_grad *m, const lb_docs *docs, lb_err *err)
{
    lb_grad_reset(m->g);
    if (!take_docs(m, docs, err)) return NULL;
    lb_var *x = lb_grad_embed(m->g, lb_grad_param(m->g, m->embed), docs->ids, docs->n_tok);
    for (int i = 0; i < m->cfg->n_layer; i++)
        x = m->opt.keep ? block(&m->layers[i], m->g, x) : lb_grad_checkpoint(m->g, block, &m->layers[i], x);
    x = final_norm(m, x);
    return lb_grad_ok(m->g, err) ? x : NULL;
}

/* Embedding, blocks and norm, one after another, each from `out` to `out`; look: stops at the first that is not
 * finite. */
static bool infer(lb_model_grad *m, const lb_docs *docs, float *out, bool look, lb_err *err)
{
    int n = docs->n_tok, d = m->cfg->d_model;
    size_t count = (size_t)n * (size_t)d, at = count;
    if (!take_docs(m, docs, err)) return false;
    for (int i = -1; i <= m->cfg->n_layer; i++) {
        lb_grad_reset(m->g);
        lb_var *x = i >= 0 ? lb_grad_const(m->g, out, n, d) : NULL;
        x = i < 0                   ? lb_grad_embed(m->g, lb_grad_param(m->g, m->embed), docs->ids, n)
            : i < m->cfg->n_layer ? block(&m->layers[i], m->g, x)
                                    : final_norm(m, x);
        if (!lb_grad_ok(m->g, err)) return false;
        lb_node_copy(m->g, out, x->v, count);
        if (look && !lb_find_not_finite(m->ex, out, count, &at, err)) return false;
        if (look && at < count)
            return i < 0 || i == m->cfg->n_layer
                       ? lb_fail(err, LB_ENUMERIC, "the %s of token %zu is not finite", i < 0 ? "embedding" : "final norm",
                                 at / (size_t)d)
                       : lb_fail(err, LB_ENUMERIC, "layer %d: the output for token %zu is not finite", i, at / (size_t)d);
    }
    lb_grad_reset(m->g);
    return true;
}

bool lb_model_grad_infer(lb_model_grad *m, const lb_docs *docs, float *out, lb_err *err)
{
    return infer(m, docs, out, false, err);
}

/* ---- losses ---- */
static bool room(lb_model_grad *m, int n_tok, lb_err *err)
{
    const lb_config *c = m->cfg;
    if (!m->vocab && !(m->vocab = lb_vocab_open(m->ex, c->n_vocab, c->d_model, m->opt.d_teacher, err))) return false;
    if (n_tok <= m->cap_rows) return true;
    lb_exec_free(m->ex, m->rows);
    m->cap_rows = 0;
    m->rows = lb_exec_alloc(m->ex, (size_t)n_tok, (size_t)c->d_model * sizeof(float), "hidden gradients", err);
    if (m->rows) m->cap_rows = n_tok;
    return m->rows != NULL;
}

/* Gradients of all tensors, or their weights. */
static bool tensors_finite(lb_model_grad *m, bool weights, lb_err *err)
{
    for (size_t i = 0; i < m->n_tensor; i++)
        if (!lb_param_finite(&m->params[i], !weights, m->tensors[i].name, m->ex, err)) return false;
    return true;
}

bool lb_model_grad_finite(lb_model_grad *m, const lb_docs *docs, lb_err *err)
{
    return tensors_finite(m, true, err) &&
           (!docs || (room(m, docs->n_tok, err) && infer(m, docs, m->rows, true, err))) && tensors_finite(m, false, err);
}

/* A loss that is not finite has a place where that began. */
static bool say_where(lb_model_grad *m, const lb_docs *docs, lb_err *err)
{
    lb_err where = {0};
    if (err && err->code == LB_ENUMERIC && !lb_model_grad_finite(m, docs, &where)) lb_wrap(err, "%s", where.msg);
    return false;
}

bool lb_model_grad_loss(lb_model_grad *m, const lb_docs *docs, const lb_vocab_loss *a, lb_vocab_sums *out, lb_err *err)
{
    lb_var *h = room(m, docs->n_tok, err) ? lb_model_grad_hidden(m, docs, err) : NULL;
    if (!h) return false;
    lb_vocab_loss x = *a;
    x.n_tok = docs->n_tok, x.h = h->v, x.head = m->head->v;
    x.dh = h->need ? m->rows : NULL, x.dhead = m->head->d, x.compute = m->opt.compute;
    if (!lb_vocab_loss_run(m->vocab, &x, out, err)) return say_where(m, docs, err);
    return !h->need || lb_grad_backward_from(m->g, h, m->rows, err);
}

bool lb_model_grad_measure(lb_model_grad *m, const lb_docs *docs, const lb_vocab_loss *a, lb_vocab_sums *out, lb_err *err)
{
    if (!room(m, docs->n_tok, err) || !lb_model_grad_infer(m, docs, m->rows, err)) return false;
    lb_vocab_loss x = *a;
    x.n_tok = docs->n_tok, x.h = m->rows, x.head = m->head->v, x.dh = x.dhead = NULL, x.compute = m->opt.compute;
    return lb_vocab_loss_run(m->vocab, &x, out, err) || say_where(m, docs, err);
}

/* ---- memory ---- */
static void count_weights(const lb_model_grad *m, lb_model_plan *p)
{
    for (size_t i = 0; i < m->n_tensor; i++) {
        size_t n = (size_t)m->params[i].n * (size_t)m->params[i].k * sizeof(float);
        p->weights += n;
        if (m->params[i].d) p->gradients += n, p->moments += 2 * n;
    }
}

/* Chunk, rows of hidden gradients, and the larger of the scratches. */
static size_t loss_bytes(const lb_model_grad *m, int n_tok)
{
    const lb_config *c = m->cfg;
    lb_compute how = m->opt.compute;
    size_t loss = lb_vocab_scratch(m->ex, how, c->n_vocab, c->d_model, n_tok), scratch = lb_grad_scratch(m->g);
    size_t most = lb_vocab_scratch(m->ex, how, c->n_vocab, c->d_model, lb_vocab_chunk(c->n_vocab));
    size_t chunk = lb_vocab_bytes(m->ex, how, c->n_vocab, c->d_model, m->opt.d_teacher) - most;
    return chunk + (loss > scratch ? loss : scratch) + (size_t)n_tok * (size_t)c->d_model * sizeof(float);
}

static void total(lb_model_plan *p) { p->total = p->weights + p->gradients + p->moments + p->tape + p->loss; }

void lb_model_grad_held(const lb_model_grad *m, lb_model_plan *out)
{
    *out = (lb_model_plan){0};
    count_weights(m, out);
    out->moments = 0;
    out->tape = lb_grad_bytes(m->g);
    out->loss = m->vocab ? loss_bytes(m, m->cap_rows) : 0;
    total(out);
}

bool lb_model_grad_bytes(const lb_config *cfg, lb_exec *ex, const lb_model_grad_opt *opt, int n_doc, const int *begin,
                         const lb_block_hooks *hooks, lb_model_plan *out, lb_err *err)
{
    *out = (lb_model_plan){0};
    if (n_doc < 1 || begin[n_doc] < 1) return lb_fail(err, LB_EUSAGE, "a plan wants documents");
    lb_model_grad *m = lb_model_grad_dry(cfg, ex, opt, err);
    int n = begin[n_doc], *ids = m ? lb_alloc((size_t)n, sizeof *ids, "a plan", err) : NULL;
    bool ok = false;
    if (!ids) goto done;
    for (int i = 0; i < cfg->n_layer; i++) lb_model_grad_hook(m, i, hooks);
    lb_docs docs = {.n_tok = n, .n_doc = n_doc, .ids = ids, .begin = begin};
    lb_var *h = lb_model_grad_hidden(m, &docs, err);
    if (!h || (h->need && !lb_grad_backward_from(m->g, h, h->v, err))) goto done;
    count_weights(m, out);
    out->tape = lb_grad_bytes(m->g);
    out->loss = loss_bytes(m, n);
    total(out);
    ok = true;
done:
    free(ids);
    lb_model_grad_close(m);
    return ok;
}
