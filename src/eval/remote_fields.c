/* eval/remote_fields.c – one user turn as a chat completion request. */
#include "eval/remote_fields.h"
#include "base/buf.h"
#include "eval/remote_error.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool top_k_is_off(const lb_remote_request *q) { return q->sampling.top_k <= 0; }

char *lb_remote_body(const lb_remote_fields *f, const char *model, const lb_remote_request *q, size_t *n, lb_err *err)
{
    const lb_sampling *s = &q->sampling;
    json_t *o = json_object(), *user = json_string(q->user);
    if (o && !user) {
        json_decref(o);
        return lb_fail_null(err, LB_EFORMAT, "the prompt is not valid UTF-8");
    }
    int bad = json_object_set_new(o, "model", json_string(model));
    bad |= json_object_set_new(o, "messages", json_pack("[{s:s, s:o}]", "role", "user", "content", user));
    bad |= json_object_set_new(o, "temperature", json_real((double)s->temperature));
    bad |= json_object_set_new(o, "top_p", json_real((double)s->top_p));
    if (!top_k_is_off(q)) bad |= json_object_set_new(o, "top_k", json_integer(s->top_k));
    else if (f->top_k_off < 2) bad |= json_object_set_new(o, "top_k", json_integer(f->top_k_off - 1));
    if (!f->no_min_p) bad |= json_object_set_new(o, "min_p", json_real((double)s->min_p));
    if (!f->no_repetition)
        bad |= json_object_set_new(o, "repetition_penalty", json_real((double)s->repetition_penalty));
    if (!f->no_seed) bad |= json_object_set_new(o, "seed", json_integer(q->seed));
    bad |=
        json_object_set_new(o, f->completion_tokens ? "max_completion_tokens" : "max_tokens", json_integer(q->max_new));
    if (q->template_kwargs) bad |= json_object_set_new(o, "chat_template_kwargs", json_deep_copy(q->template_kwargs));
    if (!f->no_stream) bad |= json_object_set_new(o, "stream", json_true());
    if (!f->no_stream && !f->no_usage)
        bad |= json_object_set_new(o, "stream_options", json_pack("{s:b}", "include_usage", 1));
    /* Seven digits are what a float is worth: 0.6, not 0.600000024. */
    char *text = bad ? NULL : json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(7));
    json_decref(o);
    if (!text) {
        lb_fail_mem(err, strlen(q->user), "a request");
        return NULL;
    }
    *n = strlen(text);
    return text;
}

/* Written anew after each lesson. */
static void remark(lb_remote_fields *f)
{
    const char *const off[] = {f->top_k_off == 2 ? "top_k (off)" : NULL, f->no_min_p ? "min_p (off)" : NULL,
                               f->no_repetition ? "repetition_penalty (1)" : NULL};
    lb_buf b = {0};
    for (int i = 0; i < 3; i++)
        if (off[i]) lb_buf_fmt(&b, "%s%s", b.n ? ", " : "refused, so that the server's own defaults hold: ", off[i]);
    if (f->no_seed) lb_buf_fmt(&b, "%srefused: seed, so that no run gives the same texts again", b.n ? "; " : "");
    snprintf(f->remarks, sizeof f->remarks, "%s", lb_buf_cstr(&b));
    lb_buf_free(&b);
}

static lb_remote_lesson cannot(const char *field, const char *text, lb_err *err)
{
    lb_fail(err, LB_EUNSUPPORTED, "the server does not take %s, which was asked for: %s", field, text);
    return LB_LESSON_CANNOT;
}

lb_remote_lesson lb_remote_learn(lb_remote_fields *f, const lb_remote_request *q, const char *text, lb_err *err)
{
    unsigned before = f->version;
    if (lb_remote_error_names(text, "top_k")) {
        if (!top_k_is_off(q)) return cannot("top_k", text, err);
        if (f->top_k_off < 2) f->top_k_off++, f->version++;
    }
    if (lb_remote_error_names(text, "min_p")) {
        if (q->sampling.min_p > 0) return cannot("min_p", text, err);
        if (!f->no_min_p) f->no_min_p = true, f->version++;
    }
    if (lb_remote_error_names(text, "repetition_penalty")) {
        if (q->sampling.repetition_penalty != 1) return cannot("repetition_penalty", text, err);
        if (!f->no_repetition) f->no_repetition = true, f->version++;
    }
    if (lb_remote_error_names(text, "chat_template_kwargs") && q->template_kwargs)
        return cannot("chat_template_kwargs", text, err);
    if (lb_remote_error_names(text, "max_completion_tokens") && !f->completion_tokens)
        f->completion_tokens = true, f->version++;
    if (lb_remote_error_names(text, "seed") && !f->no_seed) f->no_seed = true, f->version++;
    if (lb_remote_error_names(text, "stream_options") && !f->no_usage) f->no_usage = true, f->version++;
    if (f->version == before && lb_remote_error_names(text, "stream") && !f->no_stream)
        f->no_stream = true, f->version++;
    remark(f);
    return f->version != before ? LB_LESSON_CHANGED : LB_LESSON_NONE;
}
