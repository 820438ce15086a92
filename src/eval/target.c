/* eval/target.c – a model with its tokenizer and chat template. */
#include "eval/target.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

bool lb_target_open(lb_target *t, const char *dir, lb_exec *ex, lb_err *err)
{
    memset(t, 0, sizeof *t);
    if (!lb_is_folder(dir))
        return lb_fail(err, LB_EFORMAT,
                       "%s is not a folder; a model is a folder with config.json, safetensors and tokenizer.json", dir);
    bool ok = (t->model = lb_model_open(dir, ex, err)) && (t->tok = lb_tokenizer_open(dir, err)) &&
              (t->chat = lb_chat_open(dir, err)) && lb_gen_config_load(&t->gen, dir, &t->model->cfg, err);
    if (!ok) lb_target_close(t);
    return ok;
}

void lb_target_close(lb_target *t)
{
    lb_chat_close(t->chat);
    lb_tokenizer_close(t->tok);
    lb_model_close(t->model);
    memset(t, 0, sizeof *t);
}

/* Chains a file of the model folder into *h; a missing file counts as empty. */
static bool add_file(lb_hash *h, const char *dir, const char *name, lb_err *err)
{
    lb_map m = {0};
    char *path = lb_path_join(dir, name, err);
    bool ok = path != NULL;
    if (ok && lb_file_exists(path)) ok = lb_map_open(&m, path, err);
    if (ok) *h = lb_hash_bytes(m.p ? m.p : (const uint8_t *)"", m.size, *h);
    lb_map_close(&m);
    free(path);
    return ok;
}

bool lb_target_hash(lb_target *t, lb_err *err)
{
    static const char *const files[] = {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                                       "generation_config.json", "special_tokens_map.json"};
    const lb_store *s = t->model->store;
    for (size_t i = 0; i < lb_store_count(s); i++) /* all is read here anyway: a NaN is named before it spoils hours */
        if (!lb_tensor_need_finite(lb_store_at(s, i), err)) return false;
    lb_hash h = lb_store_hash(s);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!add_file(&h, t->model->dir, files[i], err)) return false;
    lb_hash_hex(h, t->hash);
    return true;
}

bool lb_target_render(const lb_target *t, const char *system, const char *user, const json_t *kwargs, lb_buf *text,
                      lb_err *err)
{
    bool chat = lb_chat_has_template(t->chat);
    if (!chat && (system || kwargs))
        return lb_fail(err, LB_EUSAGE,
                       "the model has no chat template: it takes no system turn and no template arguments");
    if (chat) return lb_chat_prompt(t->chat, system, user, kwargs, text, err);
    lb_buf_str(text, user);
    return lb_buf_ok(text, "a prompt", err);
}

bool lb_target_encode(const lb_target *t, const lb_buf *text, lb_ids *ids, lb_err *err)
{
    unsigned flags = lb_chat_has_template(t->chat) ? LB_ENCODE_SPECIAL : LB_ENCODE_BOS;
    return lb_tokenizer_encode(t->tok, lb_buf_cstr(text), text->n, flags, ids, err);
}

bool lb_target_prompt(const lb_target *t, const char *system, const char *user, const json_t *kwargs, lb_ids *ids,
                      bool *in_thinking, lb_hash *hash, lb_err *err)
{
    lb_buf text = {0};
    bool ok = lb_target_render(t, system, user, kwargs, &text, err) && lb_target_encode(t, &text, ids, err);
    if (ok) *in_thinking = lb_chat_starts_in_thinking(lb_buf_cstr(&text), text.n);
    if (ok && hash) *hash = lb_hash_of(lb_buf_cstr(&text), text.n);
    lb_buf_free(&text);
    return ok;
}

lb_sampling lb_target_sampling(const lb_target *t)
{
    const lb_gen_config *g = &t->gen;
    return (lb_sampling){.temperature = g->sample ? g->temperature : 0, .top_k = g->top_k, .top_p = g->top_p,
                         .min_p = g->min_p,
                         .repetition_penalty = g->repetition_penalty};
}
