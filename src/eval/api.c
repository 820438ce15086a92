/* eval/api.c – include/lowbit.h on top of the layers below. */
#include "base/mem.h"
#include "eval/target.h"
#include "eval/compress.h"
#include <stdlib.h>
#include <string.h>

struct lb_lm {
    lb_exec *ex;                     /* owned */
    lb_target t;
    lb_engine *e;                    /* owned */
};

lb_lm *lb_lm_open(const char *dir, const lb_lm_opt *opt, lb_err *err)
{
    static const lb_lm_opt none;
    if (!opt) opt = &none;
    lb_lm *lm = lb_alloc(1, sizeof *lm, "a model", err);
    if (!lm) return NULL;
    lm->ex = lb_exec_open(&(lb_exec_opt){.device = opt->device, .isa = opt->isa, .n_thread = opt->n_thread}, err);
    if (lm->ex && lb_target_open(&lm->t, dir, lm->ex, err))
        lm->e = lb_engine_open(lm->t.model, &(lb_engine_opt){.n_ctx = opt->n_ctx, .kv = opt->kv}, err);
    if (lm->e) return lm;
    lb_lm_close(lm);
    return NULL;
}

void lb_lm_close(lb_lm *lm)
{
    if (!lm) return;
    lb_engine_close(lm->e);
    lb_target_close(&lm->t);
    lb_exec_close(lm->ex);
    free(lm);
}

typedef struct stream {
    lb_detok detok;
    lb_buf text;
    size_t given;
    bool ended;                      /* on_text said so: it is not called again */
    bool (*on_text)(void *, const char *, size_t);
    void *arg;
} stream;

static bool give(stream *s)
{
    size_t n = s->text.n - s->given;
    const char *p = lb_buf_cstr(&s->text) + s->given;
    s->given = s->text.n;
    if (n && s->on_text && !s->ended) s->ended = !s->on_text(s->arg, p, n);
    return !s->ended;
}

static bool on_token(lb_request *r, int id, float logprob)
{
    (void)logprob;
    stream *s = r->user;
    for (int i = 0; i < r->n_stop; i++)
        if (r->stop[i] == id) return true;
    lb_detok_push(&s->detok, id, &s->text);
    return give(s);
}

char *lb_lm_answer(lb_lm *lm, const char *user, const lb_lm_gen *gen, bool (*on_text)(void *, const char *, size_t),
                   void *arg, lb_err *err)
{
    static const lb_lm_gen none;
    if (!gen) gen = &none;
    lb_sampling how = lb_target_sampling(&lm->t);
    if (gen->own_sampling)
        how = (lb_sampling){.temperature = gen->temperature, .top_k = gen->top_k, .min_p = gen->min_p,
                            .top_p = gen->top_p > 0 ? gen->top_p : 1, .repetition_penalty = 1};
    stream s = {.on_text = on_text, .arg = arg};
    lb_ids ids = {0};
    bool in_thinking;
    lb_detok_init(&s.detok, lm->t.tok, true);
    bool ok = lb_target_prompt(&lm->t, gen->system, user, NULL, &ids, &in_thinking, NULL, err);
    lb_request r = {.prompt = ids.p, .n_prompt = (int)ids.n, .sampling = how, .key = lb_rng_key_of(gen->seed, 0, 0),
                    .max_new = gen->max_new, .stop = lm->t.gen.eos, .n_stop = lm->t.gen.n_eos, .user = &s,
                    .on_token = on_token};
    ok = ok && lb_engine_submit(lm->e, &r, err) && lb_engine_drain(lm->e, err);
    if (ok) {
        lb_detok_end(&s.detok, &s.text);
        (void)give(&s);
    }
    lb_ids_free(&ids);
    char *text = ok ? lb_buf_take(&s.text, "the answer", err) : NULL;
    lb_buf_free(&s.text);
    return text;
}

bool lb_quantize_folder(const char *dir, const char *out_dir, const lb_quantize_how *how, lb_err *err)
{
    lb_compress_spec spec = {.method = how->method, .scheme = how->scheme, .kv = how->kv,
                             .calib = {.source = how->calib, .n_seq = how->nsamples, .n_tok = how->seqlen}};
    lb_compress c;
    lb_quantize_report rep;
    lb_exec *ex = lb_compress_parse(&c, &spec, err) ? lb_exec_open(NULL, err) : NULL;
    bool ok = ex && lb_compress_run(&c, dir, out_dir, ex, &rep, err);
    lb_compress_free(&c);
    lb_exec_close(ex);
    return ok;
}
