/* cli/cmd_trace.c – `lowbit trace`: the model's own reasoning, for calibration. */
#include "cli/cmd.h"
#include "eval/trace.h"
#include <stdio.h>
#include <stdlib.h>

static bool print_json(const char *path, const lb_trace_report *r, lb_err *err)
{
    json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:s}", "output", path, "samples",
                          (json_int_t)r->n, "generated", (json_int_t)(r->n - r->n_reused), "reused",
                          (json_int_t)r->n_reused, "tokens_mean", r->tokens_mean, "truncated", r->truncated,
                          "think_closed", r->think_closed, "tokens_generated", r->tokens_generated, "seconds",
                          r->seconds, "version", lb_version());
    return lb_cmd_print_json(j, err);
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    const char *source = NULL, *out = NULL, *data = "data", *kv = NULL, *thinking = NULL;
    int64_t limit = 0, samples = 1, seed = 42, n = 0, parallel = 0, top_k = 0;
    double temp = 0, top_p = 1, min_p = 0;
    bool done, ids = false;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"prompts", 0, LB_ARG_STR, &source, "FILE|TASK",
         "JSON lines with 'messages', 'prompt', 'problem' or 'question'; or benchmarks such as chain,algebra", 0, 0,
         false},
        {"output", 'o', LB_ARG_STR, &out, "FILE", "the traces, one JSON line a sample; an unfinished file is completed",
         0, 0, false},
        {"samples", 0, LB_ARG_INT, &samples, "N", "samples per prompt (default 1)", 1, 4096, false},
        {"limit", 0, LB_ARG_INT, &limit, "N", "the first N prompts (default: all)", 1, 1 << 20, false},
        {"data", 0, LB_ARG_STR, &data, "DIR", "folder of the benchmarks (default: data)", 0, 0, false},
        {"seed", 0, LB_ARG_INT, &seed, "N", "same prompt, same seed, same text (default 42)", 0, 9e15, false},
        {"n-predict", 'n', LB_ARG_INT, &n, "N", "most tokens per trace (default: the task's, or up to the context)", 1,
         1 << 28, false},
        {"temp", 0, LB_ARG_REAL, &temp, "T", "default: the model's generation_config.json; 0.6 in the studies", 0, 100,
         false},
        {"top-k", 0, LB_ARG_INT, &top_k, "K", "likewise", 0, 1 << 28, false},
        {"top-p", 0, LB_ARG_REAL, &top_p, "P", "likewise; 0.95 in the studies", 0, 1, false},
        {"min-p", 0, LB_ARG_REAL, &min_p, "P", "likewise", 0, 1, false},
        {"thinking", 0, LB_ARG_STR, &thinking, "HOW", "on, off, auto (default): the template's enable_thinking", 0, 0,
         false},
        {"kv", 0, LB_ARG_STR, &kv, "FORMAT", LB_KV_HELP " (default: as the model)", 0, 0, false},
        {"parallel", 0, LB_ARG_INT, &parallel, "N", "samples in flight (default: what fits, at most 64)", 1, 4096,
         false},
        {"ids", 0, LB_ARG_FLAG, &ids, "", "write the ids of the generated tokens as well", 0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_trace, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!lb_cmd_need_model(&c, err)) return false;
    if (!source || !*source)
        return lb_fail(err, LB_EUSAGE, "no prompts: --prompts FILE.jsonl, or benchmarks such as --prompts chain");
    if (!out || !*out) return lb_fail(err, LB_EUSAGE, "no output: -o TRACES.jsonl names the file to make");
    lb_progress_mode mode;
    json_t *kwargs = NULL;
    lb_prompts prompts = {0};
    lb_target t = {0};
    lb_exec *ex = NULL;
    lb_trace_report r;
    bool ok = lb_cmd_progress(&c, &mode, err) && lb_cmd_thinking(thinking, &kwargs, err) &&
              lb_prompts_load(source, data, (int)limit, &prompts, err) && (ex = lb_cmd_exec(&c, err)) != NULL &&
              lb_target_open(&t, c.model, ex, err);
    if (ok) {
        lb_trace_opt o = {.prompts = &prompts, .n_sample = (int)samples, .seed = (uint64_t)seed, .max_new = (int)n,
                          .sampling = lb_target_sampling(&t), .n_slot = (int)parallel, .kv = kv,
                          .template_kwargs = kwargs, .want_ids = ids, .stop = &lb_cmd_stop};
        if (lb_args_given(table, "temp")) o.sampling.temperature = (float)temp;
        if (lb_args_given(table, "top-k")) o.sampling.top_k = (int)top_k;
        if (lb_args_given(table, "top-p")) o.sampling.top_p = (float)top_p;
        if (lb_args_given(table, "min-p")) o.sampling.min_p = (float)min_p;
        lb_progress p;
        lb_progress_start(&p, mode, "samples", (int64_t)prompts.n * samples);
        lb_progress_what(&p, "trace");
        ok = lb_trace_run(&t, &o, out, &p, &r, err);
        lb_progress_end(&p);
    }
    if (ok && c.json) ok = print_json(out, &r, err);
    else if (ok)
        printf("%s: %lld traces (%lld were there), %.1f tokens on average, %.1f%% truncated, %.1f%% closed their "
               "thinking; %.0f tok/s\n",
               out, (long long)r.n, (long long)r.n_reused, r.tokens_mean, 100 * r.truncated, 100 * r.think_closed,
               r.seconds > 0 ? r.tokens_generated / r.seconds : 0);
    lb_target_close(&t);
    lb_exec_close(ex);
    lb_prompts_free(&prompts);
    json_decref(kwargs);
    return ok;
}

const lb_command lb_cmd_trace = {"trace", "reasoning traces of a model, for calibration",
                                 "lowbit trace -m models/abacus-5m --prompts data/abacus/train.jsonl --limit 256 "
                                 "--samples 1 -o out/traces.jsonl", run};
