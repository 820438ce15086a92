/* eval/calib_text.h – calibration data: texts of a chosen domain as windows of token ids.
 *
 * As the study does it (arXiv:2504.04823): all texts, each with "\n\n" behind it, are one string, which is tokenized
 * once with special tokens read as such; windows of one length start at uniformly random places and may overlap. The
 * drivers in quant/ see token ids only. A source is
 *
 *     traces      a JSON-lines file of `lowbit trace`: prompt and text of each line
 *     rows        any JSON-lines file: "text" as it stands; or a prompt (eval/prompts.h) rendered by the model's
 *                 template, followed by the row's own "solution" and "answer" if it has them
 *     text        any other file, as it stands
 *     tasks       names of benchmarks: their rows, as above */
#ifndef LB_EVAL_CALIB_TEXT_H
#define LB_EVAL_CALIB_TEXT_H
#include "eval/target.h"

typedef struct lb_calib_spec {       /* zero means default in the last four fields */
    const char *source;              /* file, or comma list of benchmarks; borrowed */
    int n_seq;                       /* windows (default 128) */
    int n_tok;                       /* tokens of each (default 2048) */
    uint64_t seed;                   /* of the starts (the study's is 0) */
    const char *data_dir;            /* folder of the benchmarks (default "data") */
} lb_calib_spec;

enum { LB_CALIB_WHAT = 256 };

/* *ids is [n_seq][n_tok], every id < n_vocab; the caller frees it. `what` says in a line what it was made of, for logs
 * and for the record of a quantized model. LB_EFORMAT if the source is empty, has fewer tokens than one window (saying
 * how many there are), or is of another vocabulary: a token that the model has no embedding for, or a trace with
 * special tokens that this tokenizer does not know. */
bool lb_calib_load(const lb_target *t, const lb_calib_spec *s, int **ids, char what[LB_CALIB_WHAT], lb_err *err);

/* The same from token ids [n] that are there already: windows at random starts; `source` is for messages. */
bool lb_calib_windows(const int *all, size_t n, const lb_calib_spec *s, int **ids, lb_err *err);

/* LB_EFORMAT at `where` if the rendered prompt holds something like <|im_start|> that t's tokenizer has no token for:
 * a trace of a model with another vocabulary. */
bool lb_calib_check_markers(const lb_target *t, const char *prompt, const char *where, lb_err *err);
#endif
