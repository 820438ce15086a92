/* eval/prompts.c – rows to prompts. */
#include "eval/prompts.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "eval/bench.h"
#include <stdlib.h>
#include <string.h>

void lb_prompt_free(lb_prompt *p)
{
    free(p->id);
    free(p->user);
    free(p->solution);
    free(p->answer);
    json_decref(p->messages);
    memset(p, 0, sizeof *p);
}

void lb_prompts_free(lb_prompts *p)
{
    for (int i = 0; i < p->n; i++) lb_prompt_free(&p->p[i]);
    free(p->p);
    memset(p, 0, sizeof *p);
}

static bool copy(char **out, const char *s, lb_err *err)
{
    *out = strdup(s);
    return *out || lb_fail_mem(err, strlen(s) + 1, "a prompt");
}

static bool get_id(const json_t *row, int number, const char *where, char **out, lb_err *err)
{
    char text[32];
    const json_t *id = json_object_get(row, "id");
    if (json_is_string(id) && *json_string_value(id)) return copy(out, json_string_value(id), err);
    if (json_is_integer(id)) snprintf(text, sizeof text, "%lld", (long long)json_integer_value(id));
    else if (!id || json_is_null(id)) snprintf(text, sizeof text, "row-%d", number);
    else return lb_fail(err, LB_EFORMAT, "%s: 'id' is %s, wanted a string or an integer", where, lb_json_kind(id));
    return copy(out, text, err);
}

/* A solution is a help, not a need: what is no string is no solution. */
static bool get_gold(const json_t *row, const char *key, char **out, lb_err *err)
{
    const char *s = json_string_value(json_object_get(row, key));
    return !s || !*s || copy(out, s, err);
}

static bool get_user(const json_t *row, const char *where, lb_prompt *out, bool *found, lb_err *err)
{
    static const char *const keys[] = {"prompt", "problem", "question"};
    json_t *m = json_object_get(row, "messages");
    if (m && !json_is_null(m)) {
        if (!json_is_array(m) || json_array_size(m) == 0)
            return lb_fail(err, LB_EFORMAT, "%s: 'messages' is %s, wanted an array of messages", where,
                           json_is_array(m) ? "empty" : lb_json_kind(m));
        out->messages = json_incref(m);
        return *found = true;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !*found; i++) {
        const char *s = NULL;
        if (!lb_json_opt_str(row, keys[i], &s, where, err)) return false;
        if (!s) continue;
        if (!*s) return lb_fail(err, LB_EFORMAT, "%s: '%s' is empty", where, keys[i]);
        if (!copy(&out->user, s, err)) return false;
        *found = true;
    }
    return true;
}

bool lb_prompt_of_row(const json_t *row, int number, const char *where, lb_prompt *out, bool *found, lb_err *err)
{
    memset(out, 0, sizeof *out);
    *found = false;
    bool ok = get_user(row, where, out, found, err);
    if (ok && *found)
        ok = get_id(row, number, where, &out->id, err) && get_gold(row, "solution", &out->solution, err) &&
             get_gold(row, "answer", &out->answer, err);
    if (!ok) lb_prompt_free(out);
    return ok;
}

typedef struct reading {
    lb_prompts *out;
    size_t cap;
    json_t *seen;                    /* id → where it was */
} reading;

/* Takes over *p. */
static bool add(reading *r, lb_prompt *p, const char *where, lb_err *err)
{
    const char *other = json_string_value(json_object_get(r->seen, p->id));
    bool ok = true;
    if (other) ok = lb_fail(err, LB_EFORMAT, "%s has the id '%.80s' of %s: each problem wants one of its own", where,
                            p->id, other);
    else if (json_object_set_new(r->seen, p->id, json_string(where)) != 0)
        ok = lb_fail(err, LB_EFORMAT, "%s: the id is not UTF-8", where);
    ok = ok && lb_grow(&r->out->p, &r->cap, (size_t)r->out->n + 1, sizeof *r->out->p, "the prompts", err);
    if (ok) r->out->p[r->out->n++] = *p;
    else lb_prompt_free(p);
    return ok;
}

static bool add_row(void *arg, json_t *row, const char *where, lb_err *err)
{
    reading *r = arg;
    lb_prompt p;
    bool found, ok = lb_prompt_of_row(row, r->out->n, where, &p, &found, err);
    if (ok && !found)
        ok = lb_fail(err, LB_EFORMAT, "%s has no prompt: none of 'messages', 'prompt', 'problem', 'question'", where);
    ok = ok && add(r, &p, where, err);
    json_decref(row);
    return ok;
}

/* What a benchmark's row has as solution and answer. GSM8K has both in one: the solution, "#### ", the number. */
static bool bench_gold(const lb_item *it, lb_prompt *p, lb_err *err)
{
    const char *answer = json_string_value(json_object_get(it->row, "answer")),
               *mark = answer ? strstr(answer, "\n####") : NULL;
    if (!get_gold(it->row, "solution", &p->solution, err)) return false;
    if (mark && !p->solution && !(p->solution = strndup(answer, (size_t)(mark - answer))))
        return lb_fail_mem(err, (size_t)(mark - answer), "a prompt");
    return mark || !answer ? !*it->gold || copy(&p->answer, it->gold, err)
                           : get_gold(it->row, "answer", &p->answer, err);
}

/* An item's own id; with its benchmark's name, and at last its number, where another prompt has it already: the years
 * of AIME all count from 0. */
static bool bench_id(const reading *r, const lb_item *it, char **out, lb_err *err)
{
    lb_buf b = {0};
    if (*it->id) lb_buf_str(&b, it->id);
    else lb_buf_fmt(&b, "row-%d", it->number - 1);
    if (json_object_get(r->seen, lb_buf_cstr(&b))) {
        lb_buf_reset(&b);
        lb_buf_fmt(&b, "%s/", it->bench->name);
        if (*it->id) lb_buf_str(&b, it->id);
        else lb_buf_fmt(&b, "row-%d", it->number - 1);
        if (json_object_get(r->seen, lb_buf_cstr(&b))) lb_buf_fmt(&b, "#%d", it->number);
    }
    return (*out = lb_buf_take(&b, "a prompt", err)) != NULL;
}

static bool add_bench(reading *r, const lb_bench *b, const char *data_dir, int limit, lb_err *err)
{
    lb_items items;
    if (!lb_items_load(b, data_dir, &(lb_items_opt){.limit = limit}, &items, err)) return false;
    bool ok = true;
    for (int i = 0; ok && i < items.n; i++) {
        const lb_item *it = &items.p[i];
        char where[64];
        lb_prompt p = {.max_new = b->max_new};
        snprintf(where, sizeof where, "%.40s, row %d", b->name, it->number);
        ok = bench_id(r, it, &p.id, err) && copy(&p.user, it->prompt, err) && bench_gold(it, &p, err);
        if (ok) ok = add(r, &p, where, err);
        else lb_prompt_free(&p);
    }
    lb_items_free(&items);
    return ok;
}

static bool load_file(reading *r, const char *path, int limit, lb_err *err)
{
    lb_map m;
    if (!lb_map_open(&m, path, err)) return false;
    bool ok = lb_jsonl_each((const char *)m.p, m.size, path, limit, add_row, r, NULL, err);
    lb_map_close(&m);
    return ok;
}

static bool load_benches(reading *r, const char *names, const char *data_dir, int limit, lb_err *err)
{
    const lb_bench **list;
    int n;
    if (!lb_benches_of(names, &list, &n, err)) return lb_wrap(err, "'%.200s' is no file", names);
    bool ok = true;
    for (int i = 0; ok && i < n; i++) ok = add_bench(r, list[i], data_dir, limit, err);
    free(list);
    return ok;
}

bool lb_prompts_load(const char *source, const char *data_dir, int limit, lb_prompts *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    reading r = {.out = out, .seen = json_object()};
    bool ok = r.seen || lb_fail_mem(err, 0, "the prompts");
    ok = ok && (lb_file_exists(source) ? load_file(&r, source, limit, err)
                                       : load_benches(&r, source, data_dir, limit, err));
    if (ok && out->n == 0) ok = lb_fail(err, LB_EFORMAT, "%s has no rows", source);
    json_decref(r.seen);
    if (!ok) lb_prompts_free(out);
    return ok;
}

bool lb_prompt_render(const lb_target *t, const lb_prompt *p, const json_t *kwargs, lb_buf *text, bool *in_thinking,
                      lb_err *err)
{
    bool ok = p->messages ? lb_chat_render(t->chat, p->messages, true, kwargs, text, err)
                          : lb_target_render(t, NULL, p->user, kwargs, text, err);
    if (ok) *in_thinking = lb_chat_starts_in_thinking(lb_buf_cstr(text), text->n);
    return ok;
}

bool lb_prompt_gold(const lb_prompt *p, bool in_thinking, lb_buf *text)
{
    if (!p->solution && !p->answer) return false;
    if (p->solution) lb_buf_fmt(text, "%s%s\n</think>\n\n", in_thinking ? "" : "<think>\n", p->solution);
    else if (in_thinking) lb_buf_str(text, "\n</think>\n\n");
    if (p->answer) lb_buf_str(text, p->answer);
    return true;
}
