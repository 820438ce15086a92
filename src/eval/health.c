/* eval/health.c – measuring, and judging by limits.
 *
 * The limits are conventions. KL is taken relative to the entropy of the base: a model that is sure of nearly every
 * token, as the embedded one is, loses half of its answers at a KL that a large model would not notice. On the embedded
 * model round-to-nearest at 4 and 3 bits is healthy and loses no accuracy, at 2 bits it is broken and loses half of some tasks. */
#include "eval/health.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/generate.h"
#include "eval/grade.h"
#include "eval/loop.h"
#include "infer/outliers.h"
#include "quant/method.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_TOKEN = 32768, N_PROMPT = 32, LEAST_NEW = 256, MOST_NEW = 4096, OUTLIER_TOKEN = 2048, OUTLIER_WINDOW = 512 };

const char *lb_health_name(lb_health_level l)
{
    static const char *const names[] = {"healthy", "impaired", "broken"};
    return names[l];
}

/* ---- teacher-forced ---- */

/* Traces spread evenly over the file, about `most` tokens of them, at most ctx of each. */
static bool pick(const lb_traces *t, double most, int ctx, lb_text_ids **out, int *n, lb_err *err)
{
    double all = 0;
    for (int i = 0; i < t->n; i++) all += (double)(t->p[i].ids.n < (size_t)ctx ? t->p[i].ids.n : (size_t)ctx);
    int want = all <= most ? t->n : (int)ceil(t->n * most / all);
    *out = lb_alloc((size_t)want, sizeof **out, "the traces", err);
    if (!*out) return false;
    for (*n = 0; *n < want; ++*n) {
        const lb_trace *x = &t->p[(int64_t)*n * t->n / want];
        int len = x->ids.n < (size_t)ctx ? (int)x->ids.n : ctx;
        if (len > most) len = (int)most;
        (*out)[*n] = (lb_text_ids){.ids = x->ids.p, .n = len, .first = x->n_prompt - 1};
    }
    return true;
}

static bool compare(lb_target *base, lb_target *quant, const lb_health_opt *o, lb_health *h, lb_err *err)
{
    int ctx = lb_config_ctx(&base->model->cfg), other = lb_config_ctx(&quant->model->cfg), n;
    lb_text_ids *texts;
    lb_progress p;
    if (!pick(o->traces, o->n_token > 0 ? o->n_token : N_TOKEN, ctx < other ? ctx : other, &texts, &n, err))
        return false;
    lb_compare_opt co = {.mark = lb_tokenizer_id(base->tok, "</think>"), .progress = &p, .stop = o->stop};
    lb_progress_start(&p, o->progress, "traces", n);
    lb_progress_what(&p, "reading traces");
    bool ok = lb_compare(base->model, quant->model, texts, n, &co, &h->compare, err);
    lb_progress_end(&p);
    h->n_trace = n;
    free(texts);
    return ok;
}

/* ---- free-running ---- */

typedef struct answer {
    lb_request r;
    lb_target *t;
    bool in_thinking;
    lb_progress *p;
    double tokens, loop, truncated, closed;
    bool *failed;
    lb_err *err;
} answer;

static void on_done(lb_request *r)
{
    answer *a = r->user;
    lb_buf text = {0};
    const char *part;
    bool closed = false;
    if (*a->failed) return;
    a->tokens = r->n_out;
    a->loop = lb_is_loop(r->out, r->n_out);
    a->truncated = r->finish == LB_FINISH_LENGTH;
    bool ok = lb_tokenizer_decode(a->t->tok, r->out, (size_t)r->n_out, false, &text, a->err);
    for (size_t i = 0; ok && i < text.n; i++)
        if (text.p[i] == 0) text.p[i] = ' ';
    if (ok) lb_answer_part(lb_buf_cstr(&text), a->in_thinking, &part, &closed);
    a->closed = closed;
    *a->failed = !ok;
    lb_buf_free(&text);
    lb_progress_add(a->p, 1, r->n_out);
}

static bool opens_thinking(const lb_target *t, const lb_trace *x, bool *out, lb_err *err)
{
    lb_buf text = {0};
    bool ok = lb_tokenizer_decode(t->tok, x->ids.p, (size_t)x->n_prompt, false, &text, err);
    *out = ok && lb_chat_starts_in_thinking(lb_buf_cstr(&text), text.n);
    lb_buf_free(&text);
    return ok;
}

/* The first trace of each of the first prompts. */
static int prompts_of(const lb_traces *t, int most, const lb_trace **out)
{
    int n = 0;
    for (int i = 0; i < t->n && n < most; i++) {
        bool seen = false;
        for (int j = 0; j < n && !seen; j++) seen = out[j]->problem == t->p[i].problem;
        if (!seen) out[n++] = &t->p[i];
    }
    return n;
}

static bool generate(lb_target *t, const char *what, const lb_trace *const *prompt, int n, const lb_health_opt *o,
                     int max_new, answer *a, lb_err *err)
{
    lb_progress p;
    bool failed = false, ok = true;
    size_t refused;
    lb_request **list = lb_alloc((size_t)n, sizeof *list, "the answers", err);
    if (!list) return false;
    lb_progress_start(&p, o->progress, "answers", n);
    lb_progress_what(&p, "%s answers", what);
    for (int i = 0; ok && i < n; i++) {
        const lb_trace *x = prompt[i];
        a[i] = (answer){.t = t, .p = &p, .failed = &failed, .err = err};
        ok = opens_thinking(t, x, &a[i].in_thinking, err);
        a[i].r = (lb_request){.prompt = x->ids.p, .n_prompt = x->n_prompt, .sampling = o->sampling, .max_new = max_new,
                              .key = lb_rng_key_of(o->seed, x->problem, 0), .stop = t->gen.eos, .n_stop = t->gen.n_eos,
                              .user = &a[i], .on_done = on_done};
        list[i] = &a[i].r;
    }
    lb_generate_opt go = {.n_slot = o->n_slot, .failed = &failed, .stop = o->stop};
    ok = ok && lb_generate(t, list, (size_t)n, &go, &refused, err);
    lb_progress_end(&p);
    free(list);
    return ok;
}

static lb_mean mean_of(const answer *a, int n, double *v, const double *ones, size_t field)
{
    for (int i = 0; i < n; i++) memcpy(&v[i], (const char *)&a[i] + field, sizeof *v);
    return lb_pooled_mean(v, ones, n);
}

static void summarize(lb_health_side *s, const answer *a, int n, double *v, const double *ones)
{
    s->tokens = mean_of(a, n, v, ones, offsetof(answer, tokens));
    s->loops = mean_of(a, n, v, ones, offsetof(answer, loop));
    s->truncated = mean_of(a, n, v, ones, offsetof(answer, truncated));
    s->closed = mean_of(a, n, v, ones, offsetof(answer, closed));
}

static int longest_answer(const lb_health_opt *o)
{
    if (o->max_new > 0) return o->max_new;
    size_t most = 0;
    for (int i = 0; i < o->traces->n; i++) {
        size_t n = o->traces->p[i].ids.n - (size_t)o->traces->p[i].n_prompt;
        if (n > most) most = n;
    }
    return 2 * most < LEAST_NEW ? LEAST_NEW : 2 * most > MOST_NEW ? MOST_NEW : (int)(2 * most);
}

static bool run_free(lb_target *base, lb_target *quant, const lb_health_opt *o, lb_health *h, lb_err *err)
{
    int most = o->n_prompt > 0 ? o->n_prompt : N_PROMPT;
    const lb_trace **prompt = lb_alloc((size_t)most, sizeof *prompt, "the prompts", err);
    answer *a = lb_alloc(2 * (size_t)most, sizeof *a, "the answers", err);
    double *v = lb_alloc(3 * (size_t)most, sizeof *v, "the answers", err);
    bool ok = prompt && a && v;
    if (ok) {
        int n = h->n_prompt = prompts_of(o->traces, most, prompt);
        answer *b = a + n;
        double *ones = v + n, *len = v + 2 * n;
        h->max_new = longest_answer(o);
        ok = generate(base, "base", prompt, n, o, h->max_new, a, err) &&
             generate(quant, "quantized model", prompt, n, o, h->max_new, b, err);
        for (int i = 0; ok && i < n; i++) ones[i] = 1;
        if (ok) summarize(&h->base, a, n, v, ones);
        if (ok) summarize(&h->quant, b, n, v, ones);
        for (int i = 0; ok && i < n; i++) v[i] = b[i].tokens, len[i] = a[i].tokens;
        if (ok) h->length = lb_pooled_mean(v, len, n);
    }
    free(prompt);
    free(a);
    free(v);
    return ok;
}

/* ---- verdict ---- */

/* As bad as what is certain: two standard errors towards the healthy side. */
static lb_health_level level_of(const lb_symptom *s)
{
    double sure = s->rising ? s->value - 2 * s->stderr_value : s->value + 2 * s->stderr_value;
    if (isnan(sure)) return LB_HEALTHY;
    if (s->rising ? sure > s->broken : sure < s->broken) return LB_BROKEN;
    return (s->rising ? sure > s->impaired : sure < s->impaired) ? LB_IMPAIRED : LB_HEALTHY;
}

/* KL against limits in units of the base's entropy: whether KL − limit·entropy is above 0 by two standard errors. The
 * quotient itself cannot say that where the entropy is small, because its error then has no bound (Fieller). */
static lb_health_level level_of_kl(const lb_compare_result *c, const lb_symptom *s)
{
    const double limit[] = {s->broken, s->impaired};
    for (int i = 0; i < 2; i++) {
        double l = limit[i], a = c->kl.stderr_mean, b = l * c->entropy.stderr_mean;
        double var = a * a + b * b - 2 * l * c->kl_entropy_cov;
        if (!isnan(var) && c->kl.mean - l * c->entropy.mean > 2 * sqrt(fmax(var, 0))) return i == 0 ? LB_BROKEN : LB_IMPAIRED;
    }
    return LB_HEALTHY;
}

/* q − b of two shares of the same prompts; their errors as if independent, which is not less than they are paired. */
static lb_mean excess(lb_mean q, lb_mean b)
{
    return (lb_mean){q.mean - b.mean, sqrt(q.stderr_mean * q.stderr_mean + b.stderr_mean * b.stderr_mean)};
}

static void judge(lb_health *h)
{
    const lb_compare_result *c = &h->compare;
    double closes = c->mark_base.mean;
    lb_mean loops = excess(h->quant.loops, h->base.loops), cut = excess(h->quant.truncated, h->base.truncated);
    const lb_symptom list[LB_HEALTH_SYMPTOMS] = {
        {"KL / entropy of the base", c->kl_entropy.mean, c->kl_entropy.stderr_mean, 0.5, 3, true, 0},
        {"P(</think>) / base's", c->mark_quant.mean / closes, c->mark_quant.stderr_mean / closes, 0.9, 0.5,
         false, 0},
        {"loops more than base", loops.mean, loops.stderr_mean, 0.02, 0.1, true, 0},
        {"truncated more than base", cut.mean, cut.stderr_mean, 0.05, 0.2, true, 0},
        {"length / base's", h->length.mean, h->length.stderr_mean, 1.15, 1.5, true, 0},
    };
    memcpy(h->symptom, list, sizeof list);
    for (int i = 0; i < LB_HEALTH_SYMPTOMS; i++) {
        lb_health_level l = h->symptom[i].level = i == 0 ? level_of_kl(c, &h->symptom[i]) : level_of(&h->symptom[i]);
        if (l > h->verdict) h->verdict = l;
    }
}

/* The first prompt, read by both. */
static bool same_tokenizer(const lb_target *base, const lb_target *quant, const lb_traces *t, lb_err *err)
{
    lb_buf text = {0};
    lb_ids a = {0}, b = {0};
    const lb_trace *x = &t->p[0];
    bool ok = lb_tokenizer_decode(base->tok, x->ids.p, x->ids.n, false, &text, err) &&
              lb_tokenizer_encode(base->tok, lb_buf_cstr(&text), text.n, LB_ENCODE_SPECIAL, &a, err) &&
              lb_tokenizer_encode(quant->tok, lb_buf_cstr(&text), text.n, LB_ENCODE_SPECIAL, &b, err);
    if (ok && (a.n != b.n || memcmp(a.p, b.p, a.n * sizeof *a.p) != 0))
        ok = lb_fail(err, LB_EUSAGE, "%s and %s have different tokenizers: the one is no quantization of the other",
                     quant->model->dir, base->model->dir);
    lb_buf_free(&text);
    lb_ids_free(&a);
    lb_ids_free(&b);
    return ok;
}

bool lb_health_run(lb_target *base, lb_target *quant, const lb_health_opt *o, lb_health *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    double t0 = lb_now_s();
    bool ok = same_tokenizer(base, quant, o->traces, err) && compare(base, quant, o, out, err) &&
              run_free(base, quant, o, out, err);
    if (ok) judge(out);
    out->seconds = lb_now_s() - t0;
    return ok;
}

/* ---- outliers ---- */

/* The methods that moved what is hard to round, "smoothquant+quarot", as the quantizer's record has them; "" for none, and
 * for a folder without a record. */
static bool transforms_of(const char *dir, char out[128], lb_err *err)
{
    lb_chain c;
    char *path = lb_path_join(dir, "lowbit-quantize.json", err);
    bool ok = path != NULL, there = path && lb_file_exists(path);
    json_t *record = there ? lb_json_load(path, err) : NULL;
    const char *method = "rtn";
    out[0] = 0;
    ok = ok && (!there || (record && lb_json_opt_str(record, "method", &method, path, err)));
    ok = ok && (lb_chain_parse(method, &c, err) || lb_wrap(err, "%s", path));
    for (int i = 0; ok && i <= c.n_transform; i++) { /* the solver may transform as well */
        const lb_method *m = i < c.n_transform ? c.transform[i] : c.solver;
        size_t at = strlen(out);
        if (m->block) snprintf(out + at, 128 - at, "%s%s", at ? "+" : "", m->name);
    }
    json_decref(record);
    free(path);
    return ok;
}

json_t *lb_health_outliers(lb_target *base, lb_target *quant, const lb_health_opt *o, lb_err *err)
{
    int n;
    char transform[128];
    lb_text_ids *texts;
    lb_progress p;
    lb_outliers x = {0};
    if (!transforms_of(quant->model->dir, transform, err) || !same_tokenizer(base, quant, o->traces, err) ||
        !pick(o->traces, OUTLIER_TOKEN, OUTLIER_WINDOW, &texts, &n, err))
        return NULL;
    for (int i = 0; i < n; i++) texts[i].first = 0;
    lb_progress_start(&p, o->progress, "steps", lb_outliers_steps(base->model, n));
    lb_progress_what(&p, "outliers");
    lb_outliers_opt oo = {.progress = &p, .stop = o->stop};
    bool ok = lb_outliers_run(base->model, quant->model, texts, n, &oo, &x, err);
    lb_progress_end(&p);
    json_t *j = ok ? lb_outliers_json(&x, transform) : NULL;
    if (j) {
        json_object_set_new(j, "model", json_string(quant->model->dir));
        json_object_set_new(j, "against", json_string(base->model->dir));
        json_object_set_new(j, "version", json_string(lb_version()));
    } else if (ok) lb_fail_mem(err, 0, "the outliers");
    lb_outliers_free(&x);
    free(texts);
    return j;
}

/* ---- JSON ---- */

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }
static json_t *mean_json(lb_mean m)
{
    return json_pack("{s:o, s:o}", "mean", number(m.mean), "stderr", number(m.stderr_mean));
}

static json_t *side_json(const lb_health_side *s)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", mean_json(s->tokens), "loops", mean_json(s->loops), "truncated",
                     mean_json(s->truncated), "think_closed", mean_json(s->closed));
}

static json_t *buckets_json(const lb_compare_result *c)
{
    json_t *list = json_array();
    for (int b = 0; b < LB_KL_BUCKETS; b++)
        if (c->bucket[b].n)
            json_array_append_new(list, json_pack("{s:i, s:I, s:f}", "from", b ? LB_KL_BUCKET0 << (b - 1) : 0, "n",
                                                  (json_int_t)c->bucket[b].n, "kl", c->bucket[b].kl));
    return list;
}

json_t *lb_health_json(const lb_health *h)
{
    const lb_compare_result *c = &h->compare;
    json_t *symptoms = json_array();
    for (int i = 0; i < LB_HEALTH_SYMPTOMS; i++) {
        const lb_symptom *s = &h->symptom[i];
        json_array_append_new(symptoms, json_pack("{s:s, s:o, s:o, s:f, s:f, s:s}", "name", s->name, "value",
                                                  number(s->value), "stderr", number(s->stderr_value), "impaired",
                                                  s->impaired, "broken", s->broken, "level", lb_health_name(s->level)));
    }
    return json_pack("{s:s, s:o, s:{s:o, s:o, s:o, s:f, s:f, s:o, s:f, s:f, s:o, s:o, s:o, s:i, s:o, s:I, s:i}, "
                     "s:{s:o, s:o, s:o, s:i, s:i}, s:f}",
                     "verdict", lb_health_name(h->verdict), "symptoms", symptoms, "traces", "kl", mean_json(c->kl),
                     "entropy", mean_json(c->entropy), "kl_entropy", mean_json(c->kl_entropy), "kl_p99", c->kl_p99,
                     "kl_max", c->kl_max, "top1", mean_json(c->top1), "ppl_base", c->ppl_base, "ppl", c->ppl_quant,
                     "nll_diff", mean_json(c->nll_diff), "p_close_base", mean_json(c->mark_base), "p_close",
                     mean_json(c->mark_quant), "closes", c->n_mark, "kl_by_position", buckets_json(c), "positions",
                     (json_int_t)c->n_pos, "n", c->n_seq, "answers", "base", side_json(&h->base), "model",
                     side_json(&h->quant), "length", mean_json(h->length), "n", h->n_prompt, "max_new", h->max_new,
                     "seconds", h->seconds);
}
