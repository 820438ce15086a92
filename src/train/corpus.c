/* train/corpus.c – documents, and packing them. */
#include "train/corpus.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/traces.h"
#include <stdlib.h>
#include <string.h>

/* ---- documents ---- */

static bool closes_thinking(const lb_trace *t, int close)
{
    for (size_t i = (size_t)t->n_prompt; i < t->ids.n; i++)
        if (t->ids.p[i] == close) return true;
    return false;
}

static bool add(lb_corpus *c, const lb_target *t, const lb_trace *x, int max_tok, lb_err *err)
{
    size_t n = x->ids.n;
    bool stop = x->finished && t->gen.n_eos > 0 && x->ids.p[n - 1] != t->gen.eos[0];
    if (n == (size_t)x->n_prompt) return ++c->n_empty, true;
    if (n + stop > (size_t)max_tok) return ++c->n_long, true;
    int *ids = lb_alloc(n + stop, sizeof *ids, "the documents", err);
    if (!ids) return false;
    memcpy(ids, x->ids.p, n * sizeof *ids);
    if (stop) ids[n++] = t->gen.eos[0];
    c->p[c->n++] = (lb_doc){ids, (int)n, x->n_prompt};
    c->n_tok += (int64_t)n;
    c->n_target += (int64_t)n - x->n_prompt;
    c->hash = lb_hash_bytes(ids, n * sizeof *ids, c->hash);
    c->hash = lb_hash_bytes(&x->n_prompt, sizeof x->n_prompt, c->hash);
    return true;
}

bool lb_corpus_load(lb_corpus *c, const lb_target *t, const char *path, int max_tok, lb_err *err)
{
    *c = (lb_corpus){0};
    lb_traces all;
    if (!lb_traces_load(t, path, &all, err)) return false;
    int close = lb_tokenizer_id(t->tok, "</think>");
    bool think = false, ok = (c->p = lb_alloc((size_t)all.n, sizeof *c->p, "the documents", err)) != NULL;
    for (int i = 0; close >= 0 && i < all.n; i++) think |= closes_thinking(&all.p[i], close);
    for (int i = 0; ok && i < all.n; i++) {
        if (think && all.p[i].ids.n > (size_t)all.p[i].n_prompt && !closes_thinking(&all.p[i], close))
            c->n_unthinking++;
        else ok = add(c, t, &all.p[i], max_tok, err);
    }
    if (ok && c->n == 0)
        ok = lb_fail(err, LB_EFORMAT,
                     "%s: none of %d traces can be trained on: %d are longer than %d tokens, %d are empty, "
                     "%d do not finish their thinking",
                     path, all.n, c->n_long, max_tok, c->n_empty, c->n_unthinking);
    lb_traces_free(&all);
    if (!ok) lb_corpus_free(c);
    return ok;
}

void lb_corpus_free(lb_corpus *c)
{
    for (int i = 0; i < c->n; i++) free(c->p[i].ids);
    free(c->p);
    *c = (lb_corpus){0};
}

/* ---- packing ----
 * First fit: documents in the epoch's random order go to the first open sequence that has room. Only so many are open
 * at a time, so that a sequence holds neighbours of the order and the search stays short. */

enum { OPEN = 64 };

struct lb_packer {
    const lb_corpus *c;
    int n_tok;
    bool prompt_loss;
    uint64_t seed;
    lb_pack_state at;
    int *order;                  /* [n] documents, shuffled */
    int *next;                   /* [n] of a document: the one behind it in its sequence, or −1 */
    int *first, *last, *used;    /* [n] of a sequence: its documents, its tokens */
    int n_pack;
    int *ids, *target, *begin, *doc; /* of the one dealt: [n_tok], [n_tok], [n+1], [n] */
};

static void shuffle(lb_packer *p)
{
    lb_rng_key key = lb_rng_key_of(p->seed, (uint64_t)p->at.epoch, 0);
    for (int i = 0; i < p->c->n; i++) p->order[i] = i;
    for (int i = p->c->n - 1; i > 0; i--) {
        int j = (int)(lb_rng_uniform(key, (uint64_t)i) * (i + 1)), t = p->order[i];
        p->order[i] = p->order[j], p->order[j] = t;
    }
}

static void put(lb_packer *p, int s, int doc)
{
    p->next[doc] = -1;
    if (p->used[s]) p->next[p->last[s]] = doc;
    else p->first[s] = doc;
    p->last[s] = doc;
    p->used[s] += p->c->p[doc].n;
}

static void pack_epoch(lb_packer *p)
{
    int open[OPEN], n_open = 0;
    shuffle(p);
    p->n_pack = 0;
    for (int i = 0; i < p->c->n; i++) {
        int doc = p->order[i], j = 0, fullest = 0;
        while (j < n_open && p->used[open[j]] + p->c->p[doc].n > p->n_tok) j++;
        if (j < n_open) {
            put(p, open[j], doc);
            continue;
        }
        if (n_open == OPEN) {
            for (int k = 1; k < n_open; k++)
                if (p->used[open[k]] > p->used[open[fullest]]) fullest = k;
            memmove(open + fullest, open + fullest + 1, (size_t)(--n_open - fullest) * sizeof *open);
        }
        open[n_open++] = p->n_pack;
        p->used[p->n_pack] = 0;
        put(p, p->n_pack++, doc);
    }
}

lb_packer *lb_packer_open(const lb_corpus *c, int n_tok, bool prompt_loss, uint64_t seed, lb_err *err)
{
    for (int i = 0; i < c->n; i++)
        if (c->p[i].n > n_tok) {
            lb_fail(err, LB_EUSAGE, "document %d has %d tokens, a sequence %d", i, c->p[i].n, n_tok);
            return NULL;
        }
    lb_packer *p = lb_alloc(1, sizeof *p, "the packer", err);
    size_t n = (size_t)c->n, t = (size_t)n_tok;
    if (!p) return NULL;
    *p = (lb_packer){.c = c, .n_tok = n_tok, .prompt_loss = prompt_loss, .seed = seed};
    int **arrays[] = {&p->doc, &p->order, &p->next, &p->first, &p->last, &p->used};
    bool ok = (p->ids = lb_alloc(t, sizeof(int), "a sequence", err)) &&
              (p->target = lb_alloc(t, sizeof(int), "a sequence", err)) &&
              (p->begin = lb_alloc(n + 1, sizeof(int), "a sequence", err));
    for (size_t i = 0; ok && i < sizeof arrays / sizeof *arrays; i++)
        ok = (*arrays[i] = lb_alloc(n, sizeof(int), "the packing", err)) != NULL;
    if (!ok) {
        lb_packer_close(p);
        return NULL;
    }
    pack_epoch(p);
    return p;
}

void lb_packer_close(lb_packer *p)
{
    if (!p) return;
    int *arrays[] = {p->order, p->next, p->first, p->last, p->used, p->ids, p->target, p->begin, p->doc};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
    free(p);
}

static void lay_out(lb_packer *p, int doc, lb_packed *out)
{
    const lb_doc *d = &p->c->p[doc];
    int *target = p->target + out->n_tok;
    memcpy(p->ids + out->n_tok, d->ids, (size_t)d->n * sizeof(int));
    for (int i = 0; i < d->n; i++) {
        bool asked = i + 1 < d->n && (p->prompt_loss || i + 1 >= d->n_prompt);
        target[i] = asked ? d->ids[i + 1] : -1;
        out->n_target += asked;
    }
    p->doc[out->n_doc] = doc;
    p->begin[out->n_doc++] = out->n_tok;
    out->n_tok += d->n;
}

bool lb_packer_next(lb_packer *p, lb_packed *out, lb_err *err)
{
    if (p->at.next == p->n_pack && !lb_packer_seek(p, (lb_pack_state){p->at.epoch + 1, 0}, err)) return false;
    *out = (lb_packed){.ids = p->ids, .begin = p->begin, .target = p->target, .doc = p->doc};
    for (int doc = p->first[p->at.next++]; doc >= 0; doc = p->next[doc]) lay_out(p, doc, out);
    p->begin[out->n_doc] = out->n_tok;
    return true;
}

lb_pack_state lb_packer_state(const lb_packer *p) { return p->at; }

bool lb_packer_seek(lb_packer *p, lb_pack_state s, lb_err *err)
{
    if (s.epoch < 0 || s.next < 0) return lb_fail(err, LB_EFORMAT, "a place in the data before its beginning");
    if (s.epoch != p->at.epoch) {
        p->at.epoch = s.epoch;
        pack_epoch(p);
    }
    if (s.next > p->n_pack)
        return lb_fail(err, LB_EFORMAT, "sequence %lld of epoch %lld, which has %d", (long long)s.next,
                       (long long)s.epoch, p->n_pack);
    p->at.next = s.next;
    return true;
}

int lb_packer_count(const lb_packer *p, double *fill)
{
    double used = 0;
    for (int i = 0; i < p->n_pack; i++) used += p->used[i];
    *fill = used / ((double)p->n_pack * p->n_tok);
    return p->n_pack;
}
