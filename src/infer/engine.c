/* infer/engine.c – slots, admission, and the step. */
#include "infer/engine.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

typedef struct slot {
    lb_request *r;               /* NULL: free */
    int *ids;                    /* [n_ctx] prompt then output; owned */
    int n_ids;                   /* tokens known */
    int n_past;                  /* tokens in the cache */
    int out_row;                 /* this step's row of logits, or −1 */
    /* the sampled token of this step */
    int token;
    float logprob;
    lb_err err;
} slot;

struct lb_engine {
    lb_model *m;                 /* borrowed */
    lb_kv *kv;
    lb_forward *fw;
    slot *slots;                 /* [n_slot] */
    lb_sampler *samplers;        /* [n_slot] */
    int n_slot, n_ctx, max_batch;
    int *ids, *seq, *pos, *out;  /* [max_batch]: the batch being built */
    lb_request *head, *tail;     /* waiting */
    const float *logits;         /* this step's */
    slot **sampling;             /* [n_slot] slots that sample in this step */
};

static lb_engine_opt defaults(const lb_model *m, const lb_engine_opt *opt)
{
    lb_engine_opt o = opt ? *opt : (lb_engine_opt){0};
    if (o.n_slot <= 0) o.n_slot = 1;
    if (o.n_ctx <= 0 || o.n_ctx > lb_config_ctx(&m->cfg)) o.n_ctx = lb_config_ctx(&m->cfg);
    if (o.max_batch <= 0) o.max_batch = 512;
    if (o.max_batch < o.n_slot) o.max_batch = o.n_slot;
    int64_t all = (int64_t)o.n_slot * lb_kv_pages_for(o.n_ctx);
    if (o.n_page <= 0 || o.n_page > all) o.n_page = all > INT32_MAX ? INT32_MAX : (int)all;
    if (o.n_page < lb_kv_pages_for(o.n_ctx)) o.n_page = lb_kv_pages_for(o.n_ctx); /* one full sequence always fits */
    return o;
}

static bool kv_spec(const lb_model *m, const lb_engine_opt *o, lb_kv_spec *s, lb_err *err)
{
    if (!o->kv_spec) return lb_model_kv_spec(m, o->kv, s, err);
    *s = *o->kv_spec;
    return true;
}

static lb_kv_room room_of(const lb_engine_opt *o)
{
    return (lb_kv_room){.n_seq = o->n_slot, .n_ctx = o->n_ctx, .n_page = o->n_page,
                        .n_chunk = o->max_batch < LB_KV_CHUNK ? o->max_batch : LB_KV_CHUNK};
}

size_t lb_engine_bytes(const lb_model *m, const lb_engine_opt *opt)
{
    lb_engine_opt o = defaults(m, opt);
    lb_kv_spec s;
    lb_kv_room room = room_of(&o);
    size_t n = lb_forward_bytes(&m->cfg, o.max_batch, o.n_slot);
    if (kv_spec(m, &o, &s, NULL)) lb_size_add(n, lb_kv_bytes(&m->cfg, &s, &room), &n);
    return n;
}

lb_engine *lb_engine_open(lb_model *m, const lb_engine_opt *opt, lb_err *err)
{
    lb_engine_opt o = defaults(m, opt);
    lb_engine *e = lb_alloc(1, sizeof *e, "the engine", err);
    if (!e) return NULL;
    e->m = m, e->n_slot = o.n_slot, e->n_ctx = o.n_ctx, e->max_batch = o.max_batch;
    lb_kv_spec s;
    lb_kv_room room = room_of(&o);
    if (kv_spec(m, &o, &s, err)) e->kv = lb_model_kv_open(m, &s, &room, err);
    if (e->kv) e->fw = lb_forward_open(m, o.max_batch, o.n_slot, err);
    if (!e->kv || !e->fw) goto fail;
    size_t n = (size_t)o.max_batch;
    e->slots = lb_alloc((size_t)o.n_slot, sizeof *e->slots, "the slots", err);
    e->samplers = lb_alloc((size_t)o.n_slot, sizeof *e->samplers, "the samplers", err);
    e->sampling = lb_alloc((size_t)o.n_slot, sizeof *e->sampling, "the samplers", err);
    e->ids = lb_alloc(n, sizeof(int), "the batch", err);
    e->seq = lb_alloc(n, sizeof(int), "the batch", err);
    e->pos = lb_alloc(n, sizeof(int), "the batch", err);
    e->out = lb_alloc(n, sizeof(int), "the batch", err);
    if (!e->slots || !e->samplers || !e->sampling || !e->ids || !e->seq || !e->pos || !e->out) goto fail;
    for (int i = 0; i < o.n_slot; i++) {
        e->slots[i].ids = lb_alloc((size_t)o.n_ctx, sizeof(int), "the slots", err);
        if (!e->slots[i].ids || !lb_sampler_open(&e->samplers[i], m->cfg.n_vocab, err)) goto fail;
    }
    return e;
fail:
    lb_engine_close(e);
    return NULL;
}

void lb_engine_close(lb_engine *e)
{
    if (!e) return;
    for (int i = 0; i < e->n_slot; i++) {
        if (e->slots) free(e->slots[i].ids);
        if (e->samplers) lb_sampler_close(&e->samplers[i]);
    }
    free(e->slots);
    free(e->samplers);
    free(e->sampling);
    free(e->ids);
    free(e->seq);
    free(e->pos);
    free(e->out);
    lb_forward_close(e->fw);
    lb_kv_close(e->kv);
    free(e);
}

int lb_engine_ctx(const lb_engine *e) { return e->n_ctx; }

bool lb_engine_submit(lb_engine *e, lb_request *r, lb_err *err)
{
    if (r->n_prompt < 1) return lb_fail(err, LB_EUSAGE, "the prompt has no tokens");
    if (r->n_prompt >= e->n_ctx)
        return lb_fail(err, LB_EUSAGE,
                       "the prompt has %d tokens; with room for an answer the context of %d takes at most %d",
                       r->n_prompt, e->n_ctx, e->n_ctx - 1);
    for (int i = 0; i < r->n_prompt; i++)
        if (r->prompt[i] < 0 || r->prompt[i] >= e->m->cfg.n_vocab)
            return lb_fail(err, LB_EUSAGE, "prompt token %d is %d; the model's vocabulary has %d", i, r->prompt[i],
                           e->m->cfg.n_vocab);
    if (!lb_sampling_check(&r->sampling, err)) return false;
    r->out = NULL, r->n_out = 0, r->finish = LB_FINISH_NONE, r->next = NULL;
    if (e->tail) e->tail->next = r;
    else e->head = r;
    e->tail = r;
    return true;
}

/* Pages for a whole request are set aside at admission, so that a running request never waits for memory. */
static int most_tokens(const lb_engine *e, const lb_request *r)
{
    int room = e->n_ctx - r->n_prompt, n = r->max_new > 0 && r->max_new < room ? r->max_new : room;
    return r->n_prompt + n;
}

static void admit(lb_engine *e)
{
    for (int i = 0; i < e->n_slot && e->head; i++) {
        slot *s = &e->slots[i];
        if (s->r) continue;
        lb_request *r = e->head;
        if (!lb_kv_grow(e->kv, i, most_tokens(e, r))) return; /* first come, first served: wait for pages */
        e->head = r->next;
        if (!e->head) e->tail = NULL;
        s->r = r;
        memcpy(s->ids, r->prompt, (size_t)r->n_prompt * sizeof(int));
        s->n_ids = r->n_prompt;
        s->n_past = 0;
    }
}

/* Decoding slots take one token each; what is left of the batch goes to prompts, oldest slot number first. */
static void build(lb_engine *e, lb_batch *b)
{
    *b = (lb_batch){.ids = e->ids, .seq = e->seq, .pos = e->pos, .out = e->out};
    int n_sampling = 0, n_decoding = 0;
    for (int i = 0; i < e->n_slot; i++) n_decoding += e->slots[i].r && e->slots[i].n_ids - e->slots[i].n_past == 1;
    int room = e->max_batch - n_decoding;
    for (int i = 0; i < e->n_slot; i++) {
        slot *s = &e->slots[i];
        s->out_row = -1;
        if (!s->r) continue;
        int todo = s->n_ids - s->n_past, n = todo;
        if (todo > 1) {
            n = todo < room ? todo : room;
            if (n > e->kv->n_chunk) n = e->kv->n_chunk;
            room -= n;
        }
        for (int j = 0; j < n; j++) {
            e->ids[b->n_tok] = s->ids[s->n_past + j];
            e->seq[b->n_tok] = i;
            e->pos[b->n_tok++] = s->n_past + j;
        }
        s->n_past += n;
        if (n == 0 || s->n_past < s->n_ids) continue;
        s->out_row = b->n_out;
        e->out[b->n_out++] = b->n_tok - 1;
        e->sampling[n_sampling++] = s;
    }
}

/* Samples the rows [begin,end) of this step. */
static void sample_rows(void *arg, int begin, int end)
{
    lb_engine *e = arg;
    for (int i = begin; i < end; i++) {
        slot *s = e->sampling[i];
        lb_request *r = s->r;
        s->err.code = LB_OK;
        lb_sample(&e->samplers[i], &r->sampling, e->logits + (size_t)s->out_row * (size_t)e->m->cfg.n_vocab, s->ids,
                  (size_t)s->n_ids, r->key, (uint64_t)(s->n_ids - r->n_prompt), &s->token,
                  r->want_logprobs ? &s->logprob : NULL, &s->err);
    }
}

static void finish(lb_engine *e, slot *s, lb_finish why)
{
    lb_request *r = s->r;
    r->finish = why;
    s->r = NULL;
    lb_kv_release(e->kv, (int)(s - e->slots));
    if (r->on_done) r->on_done(r);
}

static void advance(lb_engine *e, slot *s)
{
    lb_request *r = s->r;
    if (r->on_sample) s->token = r->on_sample(r, s->token);
    s->ids[s->n_ids++] = s->token;
    r->out = s->ids + r->n_prompt;
    r->n_out = s->n_ids - r->n_prompt;
    bool stop = false;
    for (int i = 0; i < r->n_stop; i++) stop |= r->stop[i] == s->token;
    if (r->on_token && !r->on_token(r, s->token, s->logprob)) stop = true;
    if (stop) finish(e, s, LB_FINISH_STOP);
    else if (s->n_ids >= most_tokens(e, r)) finish(e, s, LB_FINISH_LENGTH);
}

void lb_engine_reset(lb_engine *e)
{
    for (int i = 0; i < e->n_slot; i++) {
        e->slots[i].r = NULL;
        lb_kv_release(e->kv, i);
    }
    e->head = e->tail = NULL;
}

static bool step(lb_engine *e, bool *busy, lb_err *err)
{
    lb_batch b;
    admit(e);
    build(e, &b);
    *busy = b.n_tok > 0;
    if (b.n_tok == 0) return true;
    if (!lb_forward_run(e->fw, e->kv, &b, &e->logits, err)) return false;
    lb_parallel(e->m->ex, b.n_out, 1, sample_rows, e);
    for (int i = 0; i < b.n_out; i++) {
        if (e->sampling[i]->err.code == LB_OK) continue;
        if (err) *err = e->sampling[i]->err;
        return false;
    }
    for (int i = 0; i < b.n_out; i++) advance(e, e->sampling[i]);
    return true;
}

bool lb_engine_step(lb_engine *e, bool *busy, lb_err *err)
{
    if (step(e, busy, err)) return true;
    lb_engine_reset(e);
    return false;
}

bool lb_engine_drain(lb_engine *e, lb_err *err)
{
    for (bool busy = true; busy;)
        if (!lb_engine_step(e, &busy, err)) return false;
    return true;
}
