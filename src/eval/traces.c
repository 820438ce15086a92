/* eval/traces.c – reading traces. */
#include "eval/traces.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "eval/calib_text.h"
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    const lb_target *t;
    lb_traces *out;
    size_t cap;
} reading;

static bool add_generated(const lb_target *t, const json_t *row, const char *text, lb_ids *ids, const char *where,
                          lb_err *err)
{
    const json_t *list = json_object_get(row, "ids"), *v;
    size_t i;
    if (!list) return lb_tokenizer_encode(t->tok, text, strlen(text), LB_ENCODE_SPECIAL, ids, err);
    if (!json_is_array(list))
        return lb_fail(err, LB_EFORMAT, "%s: 'ids' is %s, wanted an array", where, lb_json_kind(list));
    json_array_foreach(list, i, v) {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= t->model->cfg.n_vocab)
            return lb_fail(err, LB_EFORMAT, "%s: ids[%zu] is no token of %s, whose vocabulary has %d", where, i,
                           t->model->dir, t->model->cfg.n_vocab);
        if (!lb_ids_push(ids, (int)json_integer_value(v), err)) return false;
    }
    return true;
}

static bool add(reading *r, const json_t *row, const char *where, lb_err *err)
{
    const lb_target *t = r->t;
    const char *prompt = json_string_value(json_object_get(row, "prompt")),
               *text = json_string_value(json_object_get(row, "text")),
               *finish = json_string_value(json_object_get(row, "finish"));
    if (!prompt || !text)
        return lb_fail(err, LB_EFORMAT, "%s is no trace: it wants 'prompt' and 'text'; `lowbit trace` makes them",
                       where);
    if (!lb_calib_check_markers(t, prompt, where, err) ||
        !lb_grow(&r->out->p, &r->cap, (size_t)r->out->n + 1, sizeof *r->out->p, "the traces", err))
        return false;
    lb_trace *x = &r->out->p[r->out->n++];
    *x = (lb_trace){.problem = lb_hash_of(prompt, strlen(prompt)).lo, .finished = !finish || strcmp(finish, "stop") == 0};
    lb_buf b = {.p = (char *)(uintptr_t)prompt, .n = strlen(prompt)};
    if (!lb_target_encode(t, &b, &x->ids, err)) return false;
    x->n_prompt = (int)x->ids.n;
    if (x->n_prompt == 0) return lb_fail(err, LB_EFORMAT, "%s: the prompt is empty", where);
    if (!add_generated(t, row, text, &x->ids, where, err)) return false;
    for (size_t i = 0; i < x->ids.n; i++)
        if (x->ids.p[i] >= t->model->cfg.n_vocab)
            return lb_fail(err, LB_EFORMAT, "%s: token %zu has id %d, but the vocabulary of %s has %d", where, i,
                           x->ids.p[i], t->model->dir, t->model->cfg.n_vocab);
    return x->ids.n <= INT32_MAX || lb_fail(err, LB_EFORMAT, "%s is too long", where);
}

static bool add_row(void *arg, json_t *row, const char *where, lb_err *err)
{
    bool ok = add(arg, row, where, err);
    json_decref(row);
    return ok;
}

bool lb_traces_load(const lb_target *t, const char *path, lb_traces *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    lb_map m;
    reading r = {.t = t, .out = out};
    if (!lb_map_open(&m, path, err)) return false;
    bool ok = lb_jsonl_each((const char *)m.p, m.size, path, 0, add_row, &r, NULL, err);
    lb_map_close(&m);
    if (ok && out->n == 0) ok = lb_fail(err, LB_EFORMAT, "%s has no traces", path);
    if (!ok) lb_traces_free(out);
    return ok;
}

void lb_traces_free(lb_traces *t)
{
    for (int i = 0; i < t->n; i++) lb_ids_free(&t->p[i].ids);
    free(t->p);
    memset(t, 0, sizeof *t);
}
