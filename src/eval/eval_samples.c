/* eval/eval_samples.c – the samples of a result as JSON lines, texts included. */
#include "base/file.h"
#include "base/json.h"
#include "eval/eval.h"
#include <stdlib.h>
#include <string.h>

static const char *verdict_name(int v)
{
    static const char *const name[] = {"wrong", "right", "unknown"};
    return v >= 0 && v < 3 ? name[v] : "ungraded";
}

/* Models write any bytes; JSON wants UTF-8. */
static json_t *text_json(const char *s)
{
    json_t *j = json_string(s);
    if (j) return j;
    lb_buf b = {0};
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if (*p < 0x80) lb_buf_byte(&b, (char)*p);
        else lb_buf_utf8(&b, 0xfffd);
    }
    j = b.oom ? NULL : json_string(lb_buf_cstr(&b));
    lb_buf_free(&b);
    return j;
}

typedef struct writing {
    const lb_eval_result *r;
    const lb_task_result *t;
    const lb_items *items;
    lb_db *db;
    lb_out out;
    lb_err *err;
} writing;

static json_t *sample_json(const lb_item *it, const lb_sample_key *k, const lb_sample_row *row)
{
    char item[33], prompt[33];
    lb_hash_hex(k->item, item);
    lb_hash_hex(k->prompt, prompt);
    return json_pack("{s:s, s:i, s:i, s:o, s:i, s:I, s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:s, s:i, s:b, "
                     "s:i, s:b}",
                     "task", k->task, "version", k->version, "number", it->number, "id", text_json(it->id), "level", it->level,
                     "seed", (json_int_t)k->seed, "sample", (json_int_t)k->sample, "model", k->model, "item_hash", item,
                     "prompt_hash", prompt, "sampling", k->sampling, "text", text_json(row->text), "extracted",
                     text_json(row->extracted), "gold", text_json(it->gold), "verdict", verdict_name(row->verdict),
                     "strict", verdict_name(row->strict), "lenient", verdict_name(row->lenient), "reason",
                     text_json(row->why), "finish_reason", row->truncated ? "length" : "stop", "tokens", row->n_tokens,
                     "think_closed", row->think_closed, "grader", row->grader, "weak_sandbox", row->weak_sandbox);
}

static bool write_sample(writing *w, const lb_item *it, const lb_sample_key *k)
{
    lb_sample_row row;
    bool found;
    if (!lb_db_find(w->db, k, true, &found, &row, w->err)) return false;
    if (!found) {
        free(row.text);
        return lb_fail(w->err, LB_EIO, "the results database lost a sample of %s %s; was it changed meanwhile?", k->task, it->id);
    }
    json_t *j = sample_json(it, k, &row);
    char *line = j ? json_dumps(j, JSON_COMPACT) : NULL;
    bool ok = line ? lb_out_write(&w->out, line, strlen(line), w->err) && lb_out_write(&w->out, "\n", 1, w->err)
                   : lb_fail_mem(w->err, 0, "a sample");
    free(line);
    json_decref(j);
    free(row.text);
    return ok;
}

static bool write_task(writing *w)
{
    const lb_task_result *t = w->t;
    int per = w->r->n_seed * w->r->n_sample;
    if (w->items->n != t->n)
        return lb_fail(w->err, LB_EIO, "%s had %d problems and has %d now", t->bench->name, t->n, w->items->n);
    for (int i = 0; i < t->n_samples; i++) {
        const lb_item *it = &w->items->p[i / per];
        lb_sample_key k = {.model = w->r->model, .task = t->bench->name, .version = t->bench->version,
                           .sampling = t->sampling, .item = it->hash, .prompt = t->prompts[i / per],
                           .seed = t->outcomes[i].seed, .sample = t->stats[i].sample};
        if (!write_sample(w, it, &k)) return false;
    }
    return true;
}

bool lb_eval_write_samples(const lb_eval_result *r, const lb_eval_opt *o, lb_db *db, const char *path, lb_err *err)
{
    lb_items_opt io = {.limit = o->limit, .option_seed = o->option_seed, .from = o->from, .to = o->to};
    writing w = {.r = r, .db = db, .err = err};
    if (!lb_out_open(&w.out, path, err)) return false;
    bool ok = true;
    for (int k = 0; ok && k < r->n_task; k++) {
        lb_items items;
        if (!(ok = lb_items_load(r->tasks[k].bench, o->data_dir, &io, &items, err))) break;
        w.t = &r->tasks[k], w.items = &items;
        ok = write_task(&w);
        lb_items_free(&items);
    }
    if (ok) return lb_out_commit(&w.out, err);
    lb_out_abort(&w.out);
    return false;
}
