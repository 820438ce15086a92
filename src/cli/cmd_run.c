/* cli/cmd_run.c – `lowbit run`: one answer, streamed; a chat without -p. */
#include "base/mem.h"
#include "cli/cmd.h"
#include "eval/target.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct opts {
    lb_common c;
    const char *prompt, *system, *kv, *thinking;
    lb_list stop;
    double temp, top_p, min_p, penalty;
    int64_t top_k, seed, n, ctx;
    bool raw, special, logprobs;
} opts;

/* What arrives while an answer is made. */
typedef struct answer {
    lb_detok detok;
    lb_buf text;                 /* everything so far */
    size_t shown;                /* bytes already printed */
    const lb_list *stop;
    bool stream;
    const lb_target *t;
    double t_first;
    json_t *tokens;              /* with --logprobs: [{"id", "logprob"}, …]; owned */
} answer;

/* Where a stop string begins, or the longest suffix that might become one begins: text before it may be shown. */
static size_t safe_end(const answer *a, bool *hit)
{
    size_t end = a->text.n;
    *hit = false;
    for (int i = 0; i < a->stop->n; i++) {
        const char *s = a->stop->p[i], *at = strstr(lb_buf_cstr(&a->text), s);
        size_t n = strlen(s);
        if (at) {
            *hit = true;
            if ((size_t)(at - a->text.p) < end) end = (size_t)(at - a->text.p);
            continue;
        }
        for (size_t k = n - 1; k > 0; k--) {
            if (k > a->text.n || memcmp(a->text.p + a->text.n - k, s, k) != 0) continue;
            if (a->text.n - k < end) end = a->text.n - k;
            break;
        }
    }
    return end;
}

static bool on_token(lb_request *r, int id, float logprob)
{
    answer *a = r->user;
    if (a->tokens) json_array_append_new(a->tokens, json_pack("{s:i, s:f}", "id", id, "logprob", (double)logprob));
    if (a->t_first == 0) a->t_first = lb_now_s();
    for (int i = 0; i < r->n_stop; i++)
        if (id == r->stop[i]) return true; /* not part of the answer; the engine ends here */
    bool hit;
    lb_detok_push(&a->detok, id, &a->text);
    size_t end = safe_end(a, &hit);
    if (a->stream && end > a->shown) {
        fwrite(a->text.p + a->shown, 1, end - a->shown, stdout);
        fflush(stdout);
        a->shown = end;
    }
    if (hit) a->text.n = end;
    return !hit;
}

static bool generate(const opts *o, const lb_target *t, lb_engine *e, const lb_sampling *s, const lb_ids *ids,
                     answer *a, lb_request *r, lb_err *err)
{
    *a = (answer){.stop = &o->stop, .stream = !o->c.json, .t = t, .tokens = o->logprobs ? json_array() : NULL};
    lb_detok_init(&a->detok, t->tok, !o->special);
    *r = (lb_request){.prompt = ids->p,
                      .n_prompt = (int)ids->n,
                      .sampling = *s,
                      .key = lb_rng_key_of((uint64_t)o->seed, 0, 0),
                      .max_new = (int)o->n,
                      .stop = t->gen.eos,
                      .n_stop = t->gen.n_eos,
                      .user = a,
                      .on_token = on_token};
    r->want_logprobs = o->logprobs;
    if (!lb_engine_submit(e, r, err)) return false;
    for (bool busy = true; busy && !lb_cmd_stop;)
        if (!lb_engine_step(e, &busy, err)) return false;
    if (lb_cmd_stop) {
        lb_engine_reset(e);
        if (a->stream) putchar('\n');
        return lb_fail(err, LB_ESTOPPED, "stopped");
    }
    lb_detok_end(&a->detok, &a->text);
    if (a->stream && a->text.n > a->shown) fwrite(a->text.p + a->shown, 1, a->text.n - a->shown, stdout);
    return lb_buf_ok(&a->text, "the answer", err);
}

static bool print_json(const opts *o, const lb_target *t, const lb_sampling *s, const lb_ids *ids, const answer *a,
                       const lb_request *r, double seconds, lb_err *err)
{
    json_t *j =
        json_pack("{s:s, s:s%, s:i, s:i, s:s, s:{s:f, s:i, s:f, s:f, s:f, s:I}, s:f, s:s}", "model", t->model->dir,
                  "text", lb_buf_cstr(&a->text), a->text.n, "prompt_tokens", (int)ids->n, "completion_tokens", r->n_out,
                  "finish_reason", r->finish == LB_FINISH_STOP ? "stop" : "length", "sampling", "temperature",
                  (double)s->temperature, "top_k", s->top_k, "top_p", (double)s->top_p, "min_p", (double)s->min_p,
                  "repetition_penalty", (double)s->repetition_penalty, "seed", (json_int_t)o->seed, "seconds", seconds,
                  "version", lb_version());
    if (j && a->tokens) json_object_set(j, "tokens", a->tokens);
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(7)) : NULL; /* what a float holds */
    json_decref(j);
    if (!text) return lb_fail_mem(err, a->text.n, "the answer");
    puts(text);
    free(text);
    return true;
}

static bool answer_one(const opts *o, const lb_target *t, lb_engine *e, const lb_sampling *s, const json_t *kwargs,
                       lb_err *err)
{
    lb_ids ids = {0};
    answer a = {0};
    lb_request r;
    bool in_thinking;
    double t0 = lb_now_s();
    bool ok =
        o->raw ? lb_tokenizer_encode(t->tok, o->prompt, strlen(o->prompt), LB_ENCODE_SPECIAL | LB_ENCODE_BOS, &ids, err)
               : lb_target_prompt(t, o->system, o->prompt, kwargs, &ids, &in_thinking, NULL, err);
    ok = ok && generate(o, t, e, s, &ids, &a, &r, err);
    double t1 = lb_now_s();
    if (ok && o->c.json) ok = print_json(o, t, s, &ids, &a, &r, t1 - t0, err);
    else if (ok) putchar('\n');
    if (ok && !o->c.json && !o->c.quiet)
        fprintf(stderr, "[%d prompt tokens, %d generated, %.1f tok/s, %s]\n", (int)ids.n, r.n_out,
                r.n_out > 1 ? (r.n_out - 1) / (t1 - a.t_first) : 0.0,
                r.finish == LB_FINISH_STOP ? "stop" : "length: raise -n or the context");
    json_decref(a.tokens);
    lb_buf_free(&a.text);
    lb_ids_free(&ids);
    return ok;
}

/* A chat: lines from stdin, each a user turn; the history goes through the template every time. */
static bool chat(opts *o, const lb_target *t, lb_engine *e, const lb_sampling *s, const json_t *kwargs, lb_err *err)
{
    json_t *messages = json_array();
    char *line = NULL;
    size_t cap = 0;
    bool ok = messages || lb_fail_mem(err, 0, "the chat");
    if (o->system)
        ok =
            ok && json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", o->system)) == 0;
    while (ok && !lb_cmd_stop) {
        if (!o->c.quiet) fputs("> ", stderr);
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0 && lb_cmd_stop) ok = lb_fail(err, LB_ESTOPPED, "stopped");
        if (n < 0) break;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = 0;
        if (n == 0) continue;
        lb_buf text = {0};
        lb_ids ids = {0};
        answer a = {0};
        lb_request r;
        json_t *turn = json_pack("{s:s, s:s}", "role", "user", "content", line);
        ok = turn ? json_array_append_new(messages, turn) == 0 : lb_fail(err, LB_EUSAGE, "the line is not UTF-8");
        ok = ok && lb_chat_render(t->chat, messages, true, kwargs, &text, err) &&
             lb_tokenizer_encode(t->tok, lb_buf_cstr(&text), text.n, LB_ENCODE_SPECIAL, &ids, err) &&
             generate(o, t, e, s, &ids, &a, &r, err);
        if (ok) {
            putchar('\n');
            json_t *reply = json_pack("{s:s, s:s%}", "role", "assistant", "content", lb_buf_cstr(&a.text), a.text.n);
            ok = json_array_append_new(messages, reply) == 0 || lb_fail_mem(err, a.text.n, "the chat");
        }
        lb_buf_free(&text);
        lb_buf_free(&a.text);
        lb_ids_free(&ids);
    }
    free(line);
    json_decref(messages);
    return ok;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    opts o = {.seed = 42};
    bool done;
    lb_arg table[] = {
        LB_MODEL_ARG(o.c),
        {"prompt", 'p', LB_ARG_STR, &o.prompt, "TEXT", "the user's turn; without it a chat on stdin", 0, 0, false},
        {"system", 0, LB_ARG_STR, &o.system, "TEXT", "a system turn before it", 0, 0, false},
        {"raw", 0, LB_ARG_FLAG, &o.raw, "", "the prompt is text to continue: no chat template", 0, 0, false},
        {"n-predict", 'n', LB_ARG_INT, &o.n, "N", "most tokens to generate (default: up to the context)", 1, 1 << 28,
         false},
        {"temp", 0, LB_ARG_REAL, &o.temp, "T", "temperature, 0 is greedy (default: the model's generation_config.json)",
         0, 100, false},
        {"top-k", 0, LB_ARG_INT, &o.top_k, "K", "0: off", 0, 1 << 28, false},
        {"top-p", 0, LB_ARG_REAL, &o.top_p, "P", "1: off", 0, 1, false},
        {"min-p", 0, LB_ARG_REAL, &o.min_p, "P", "0: off", 0, 1, false},
        {"repetition-penalty", 0, LB_ARG_REAL, &o.penalty, "R", "1: off", 0.01, 100, false},
        {"stop", 0, LB_ARG_LIST, &o.stop, "TEXT", "ends the answer; repeatable", 0, 0, false},
        {"seed", 0, LB_ARG_INT, &o.seed, "N", "same prompt, same seed, same text (default 42)", 0, 9e15, false},
        {"ctx-size", 'c', LB_ARG_INT, &o.ctx, "N", "context (default: the model's)", 2, 1 << 28, false},
        {"kv", 0, LB_ARG_STR, &o.kv, "FORMAT", LB_KV_HELP " (default: as the model)", 0, 0, false},
        {"thinking", 0, LB_ARG_STR, &o.thinking, "HOW", "on, off, auto (default): the template's enable_thinking", 0, 0,
         false},
        {"special", 0, LB_ARG_FLAG, &o.special, "", "show special tokens", 0, 0, false},
        {"logprobs", 0, LB_ARG_FLAG, &o.logprobs, "", "with --json: every token's id and log-probability", 0, 0, false},
        LB_COMMON_ARGS(o.c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_run, table, &o.c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!lb_cmd_need_model(&o.c, err)) return false;
    if (!o.prompt && (o.c.json || o.raw)) return lb_fail(err, LB_EUSAGE, "--json and --raw want a prompt: -p TEXT");
    if (o.logprobs && !o.c.json) return lb_fail(err, LB_EUSAGE, "--logprobs goes with --json");
    for (int i = 0; i < o.stop.n; i++)
        if (!*o.stop.p[i]) return lb_fail(err, LB_EUSAGE, "--stop is empty");
    json_t *kwargs = NULL;
    if (!lb_cmd_thinking(o.thinking, &kwargs, err)) return false;
    lb_target t = {0};
    lb_engine *e = NULL;
    lb_exec *ex = lb_cmd_exec(&o.c, err);
    bool ok = ex && lb_target_open(&t, o.c.model, ex, err);
    if (ok) {
        lb_sampling s = lb_target_sampling(&t);
        if (lb_args_given(table, "temp")) s.temperature = (float)o.temp;
        if (lb_args_given(table, "top-k")) s.top_k = (int)o.top_k;
        if (lb_args_given(table, "top-p")) s.top_p = (float)o.top_p;
        if (lb_args_given(table, "min-p")) s.min_p = (float)o.min_p;
        if (lb_args_given(table, "repetition-penalty")) s.repetition_penalty = (float)o.penalty;
        if (!o.c.quiet && !o.c.json)
            fprintf(stderr, "[%s on %s; temperature %g, top-p %g, top-k %d, seed %lld]\n", o.c.model, lb_exec_name(ex),
                    (double)s.temperature, (double)s.top_p, s.top_k, (long long)o.seed);
        if (o.ctx > lb_config_ctx(&t.model->cfg))
            ok = lb_fail(err, LB_EUSAGE, "--ctx-size %lld: the model was made for %d positions", (long long)o.ctx,
                         lb_config_ctx(&t.model->cfg));
        if (ok) e = lb_engine_open(t.model, &(lb_engine_opt){.n_ctx = (int)o.ctx, .kv = o.kv}, err);
        ok = ok && e && (o.prompt ? answer_one(&o, &t, e, &s, kwargs, err) : chat(&o, &t, e, &s, kwargs, err));
    }
    json_decref(kwargs);
    lb_engine_close(e);
    lb_target_close(&t);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_run = {"run", "one answer, streamed; a chat without -p",
                               "lowbit run -m models/abacus-5m -p 'Compute $12 \\cdot 34$.'", run};
