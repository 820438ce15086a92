/* study/report.h – one self-contained HTML page from the output folder of a study, or of a training: tables, plots, notes;
 * and beside it the pages of what every run answered (study/pages.h).
 *
 * The page is XML-clean HTML without references to anything outside, light and dark, and readable on a phone. Plots of
 * data that the folder does not have are left out. It reads
 *
 *     results.json               what lowbit study wrote (schema LB_STUDY_SCHEMA); a study that still runs may be read
 *     runs/ID/samples.jsonl      {"task", "problem", "level", "seed", "sample", "correct", "tokens", "finish",
 *                                "think_closed"}, a line for each sample: the output lengths
 *
 * and, of a run, files that other parts of lowbit may have left in runs/ID/ or in its model's folder (the first
 * place that has the file counts). Those of JSON are objects with "schema": 1; keys that are not named here are ignored; numbers
 * are finite, or null for what is not known.
 *
 *     layers.json     what quantizing did to each linear layer
 *         {"schema": 1, "layers": [
 *             {"name": "model.layers.0.self_attn.q_proj",      the module; the number after "layers." is its block
 *              "bits": 3.24,                                   per weight, scales and zeros counted
 *              "mse_rel": 0.0031,                              ‖ŵ−w‖² / ‖w‖²
 *              "error_rel": 0.0012}, …]}                       tr(ΔHΔᵀ) / tr(wHwᵀ), of the output; null: unknown
 *         Where there is none, lowbit-quantize.json of the model's folder has the errors of the weights: "modules"
 *         with name, n, k, bytes, mse_rel and perhaps error_rel.
 *
 *     outliers.json   how far the largest channels stand out, before and after a transform
 *         {"schema": 1, "transform": "quarot",                 its name; "" for none but rounding
 *          "sites": [
 *             {"layer": 0, "kind": "activations",              "weights", "activations" or "keys"
 *              "site": "qkv",                                  which of them: any short name
 *              "before": {"p50": 0.8, "p90": 1.9, "p99": 6.0, "max": 31.0},     quantiles over channels of max |x|
 *              "after": {…}}, …]}                              the same with the transform; null or absent: none
 *
 *     kl.json         divergence from the unquantized model, by position (lowbit doctor)
 *         {"schema": 1, "against": "models/abacus-5m", "mean": 0.012, "p99": 0.4, "top1": 0.993,
 *          "buckets": [{"begin": 0, "end": 128, "n": 4096, "mean": 0.004, "p99": 0.1}, …]}
 *                                                              positions [begin,end), n tokens, nats; rising begin
 *
 *     doctor.json     what lowbit doctor --json prints (lb_health_json): a table of verdicts, and the divergence by
 *                     position where there is no kl.json
 *
 *     train.jsonl     how the model was trained: what lowbit train logs, a line for each step (docs/training.md), with its
 *                     recipe.json beside it for the table of stages
 *
 *     evaluation.json what lowbit train says of the model, the start and the result: "model", "start" and "trained", each
 *                     as lb_eval_json has it, with "against" (lb_eval_drop_json) but for the model
 *
 * A folder with train.jsonl and without results.json is one training, finished or not: a page with this alone. */
#ifndef LB_STUDY_REPORT_H
#define LB_STUDY_REPORT_H
#include "base/buf.h"
#include "study/pages.h"

typedef struct lb_report_opt {
    const char *out;                 /* the page; NULL: report.html in the study's folder */
    bool png;                        /* also plots/NAME.png beside the page */
    const lb_pages_opt *pages;       /* of the answers, into the page's name and "-eval"; NULL: none */
} lb_report_opt;

typedef struct lb_report_written {
    int n_plot;                      /* on the page itself */
    lb_pages_written pages;
} lb_report_written;

/* Writes the page, and those of the answers where the study has its database. LB_EFORMAT names the file and what is
 * wrong in it; LB_EUNSUPPORTED for another schema. *n is optional. */
bool lb_report_write(const char *study_dir, const lb_report_opt *o, lb_report_written *n, lb_err *err);
/* The page alone, which knows of no other. */
bool lb_report_html(const char *study_dir, lb_buf *out, int *n_plot, lb_err *err);
#endif
