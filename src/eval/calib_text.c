/* eval/calib_text.c – from files and benchmarks to windows of token ids. */
#include "eval/calib_text.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "eval/prompts.h"
#include <stdlib.h>
#include <string.h>

enum { N_SEQ = 128, N_TOK = 2048 };
#define MAX_TEXT ((size_t)1 << 31)   /* bytes; 2 GiB of text are half a billion tokens */

typedef struct reading {
    const lb_target *t;
    lb_buf text;
    int n_text, n_gold;              /* texts; those of them with a solution by others behind the prompt */
    bool traces;
} reading;

/* ---- texts ---- */

bool lb_calib_check_markers(const lb_target *t, const char *prompt, const char *where, lb_err *err)
{
    static const char *const open[] = {"<|", "<\xef\xbd\x9c"}, *const close[] = {"|>", "\xef\xbd\x9c>"};
    for (int kind = 0; kind < 2; kind++) {
        for (const char *p = prompt; (p = strstr(p, open[kind])) != NULL; p++) {
            char piece[72];
            const char *end = strstr(p, close[kind]);
            size_t n = end ? (size_t)(end - p) + strlen(close[kind]) : 0;
            if (n == 0 || n >= sizeof piece) continue;
            memcpy(piece, p, n);
            piece[n] = 0;
            if (strpbrk(piece, " \t\r\n") || lb_tokenizer_id(t->tok, piece) >= 0) continue;
            return lb_fail(err, LB_EFORMAT,
                           "%s has '%s', which is no token of %s: a trace of a model with another vocabulary; make "
                           "traces with `lowbit trace -m %s`", where, piece, t->model->dir, t->model->dir);
        }
    }
    return true;
}

static bool end_text(reading *r, const char *where, lb_err *err)
{
    lb_buf_str(&r->text, "\n\n");
    r->n_text++;
    if (r->text.n > MAX_TEXT) return lb_fail(err, LB_EFORMAT, "%s: more than 2 GiB of text", where);
    return lb_buf_ok(&r->text, "the calibration text", err);
}

static bool add_prompt(reading *r, const lb_prompt *p, const char *where, lb_err *err)
{
    bool in_thinking;
    if (!lb_prompt_render(r->t, p, NULL, &r->text, &in_thinking, err)) return lb_wrap(err, "%s", where);
    r->n_gold += lb_prompt_gold(p, in_thinking, &r->text);
    return end_text(r, where, err);
}

static bool add_object(reading *r, const json_t *row, const char *where, lb_err *err)
{
    const char *text = NULL, *prompt = NULL;
    if (!lb_json_opt_str(row, "text", &text, where, err)) return false;
    if (text) {
        if (!lb_json_opt_str(row, "prompt", &prompt, where, err)) return false;
        if (prompt && !lb_calib_check_markers(r->t, prompt, where, err)) return false;
        r->traces |= prompt != NULL;
        if (prompt) lb_buf_str(&r->text, prompt);
        lb_buf_str(&r->text, text);
        return end_text(r, where, err);
    }
    lb_prompt p;
    bool found;
    if (!lb_prompt_of_row(row, r->n_text, where, &p, &found, err)) return false;
    bool ok = found ? add_prompt(r, &p, where, err)
                    : lb_fail(err, LB_EFORMAT, "%s has no text: none of 'text', 'messages', 'prompt', 'problem', "
                              "'question'", where);
    lb_prompt_free(&p);
    return ok;
}

static bool add_row(void *arg, json_t *row, const char *where, lb_err *err)
{
    bool ok = add_object(arg, row, where, err);
    json_decref(row);
    return ok;
}

static bool add_tasks(reading *r, const lb_calib_spec *s, lb_err *err)
{
    lb_prompts list;
    if (!lb_prompts_load(s->source, s->data_dir ? s->data_dir : "data", 0, &list, err)) return false;
    bool ok = true;
    for (int i = 0; ok && i < list.n; i++) ok = add_prompt(r, &list.p[i], list.p[i].id, err);
    lb_prompts_free(&list);
    return ok;
}

/* JSON lines begin with an object; everything else is a text. */
static bool is_jsonl(const lb_map *m)
{
    size_t i = m->size >= 3 && memcmp(m->p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < m->size && m->p[i] && strchr(" \t\r\n", m->p[i])) i++;
    return i < m->size && m->p[i] == '{';
}

static bool add_file(reading *r, const char *path, lb_err *err)
{
    lb_map m;
    bool ok = true;
    if (!lb_map_open(&m, path, err)) return false;
    if (is_jsonl(&m)) {
        ok = lb_jsonl_each((const char *)m.p, m.size, path, 0, add_row, r, NULL, err);
    } else if (m.size > MAX_TEXT) {
        ok = lb_fail(err, LB_EFORMAT, "%s has more than 2 GiB of text", path);
    } else if (m.size > 0) {
        lb_buf_add(&r->text, m.p, m.size);
        r->n_text = 1;
        ok = lb_buf_ok(&r->text, path, err);
    }
    lb_map_close(&m);
    return ok;
}

/* ---- windows ---- */

bool lb_calib_windows(const int *all, size_t n, const lb_calib_spec *s, int **ids, lb_err *err)
{
    size_t n_seq = (size_t)(s->n_seq ? s->n_seq : N_SEQ), n_tok = (size_t)(s->n_tok ? s->n_tok : N_TOK), size;
    if (n < n_tok)
        return lb_fail(err, LB_EFORMAT,
                       "%s has %zu tokens, fewer than one window of %zu: give more text, or shorter windows (--seqlen)",
                       s->source, n, n_tok);
    if (!lb_size_mul(n_seq, n_tok, &size)) return lb_fail_mem(err, SIZE_MAX, "the calibration data");
    int *out = lb_alloc(size, sizeof *out, "the calibration data", err);
    if (!out) return false;
    lb_rng_key key = lb_rng_key_of(s->seed, 0x63616c6962 /* "calib" */, 0);
    for (size_t i = 0; i < n_seq; i++) {
        size_t start = (size_t)(lb_rng_uniform(key, i) * (double)(n - n_tok + 1));
        memcpy(out + i * n_tok, all + start, n_tok * sizeof *out);
    }
    *ids = out;
    return true;
}

static bool check_ids(const reading *r, const char *source, const lb_ids *ids, lb_err *err)
{
    int n_vocab = r->t->model->cfg.n_vocab;
    for (size_t i = 0; i < ids->n; i++) {
        if (ids->p[i] >= 0 && ids->p[i] < n_vocab) continue;
        lb_buf piece = {0};
        (void)lb_tokenizer_decode(r->t->tok, &ids->p[i], 1, false, &piece, NULL);
        lb_fail(err, LB_EFORMAT,
                "%s: token %zu, '%.60s', has id %d, but the vocabulary of %s has %d: its tokenizer.json "
                "belongs to another model, or the text names a special token that the model was not made for",
                source, i, lb_buf_cstr(&piece), ids->p[i], r->t->model->dir, n_vocab);
        lb_buf_free(&piece);
        return false;
    }
    return true;
}

static void describe(const reading *r, const lb_calib_spec *s, size_t n, char what[LB_CALIB_WHAT])
{
    char gold[48] = "";
    if (r->n_gold) snprintf(gold, sizeof gold, " (%d with solutions)", r->n_gold);
    snprintf(what, LB_CALIB_WHAT, "%.120s: %d %s%s, %zu tokens; %d windows of %d, seed %llu", s->source, r->n_text,
             r->traces ? r->n_text == 1 ? "trace" : "traces" : r->n_text == 1 ? "text" : "texts", gold, n,
             s->n_seq ? s->n_seq : N_SEQ, s->n_tok ? s->n_tok : N_TOK, (unsigned long long)s->seed);
}

bool lb_calib_load(const lb_target *t, const lb_calib_spec *s, int **ids, char what[LB_CALIB_WHAT], lb_err *err)
{
    reading r = {.t = t};
    lb_ids all = {0};
    *ids = NULL;
    bool ok = lb_file_exists(s->source) ? add_file(&r, s->source, err) : add_tasks(&r, s, err);
    if (ok && r.n_text == 0)
        ok = lb_fail(err, LB_EFORMAT,
                     "%s is empty: calibration wants text of the domain that the model will be used in", s->source);
    ok = ok && lb_tokenizer_encode(t->tok, lb_buf_cstr(&r.text), r.text.n, LB_ENCODE_SPECIAL, &all, err) &&
         check_ids(&r, s->source, &all, err) && lb_calib_windows(all.p, all.n, s, ids, err);
    if (ok) describe(&r, s, all.n, what);
    lb_buf_free(&r.text);
    lb_ids_free(&all);
    return ok;
}
