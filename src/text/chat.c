/* text/chat.c – finding and rendering a model's chat template. */
#include "text/chat.h"
#include "text/template.h"
#include "base/file.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

struct lb_chat {
    char *dir;                     /* owned */
    lb_template *plain, *tools;    /* owned; NULL where the model has none; tools: preferred when tools are given */
    json_t *tokens;                /* owned: {"eos_token": "…", …} */
};

static const char *const token_names[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token",
    "mask_token"};
enum { N_TOKENS = sizeof token_names / sizeof *token_names };

/* dir/name if there is such a file: *path (owned by the caller) is NULL when there is none. */
static bool find(const char *dir, const char *name, char **path, lb_err *err)
{
    if (!(*path = lb_path_join(dir, name, err))) return false;
    if (!lb_file_exists(*path)) {
        free(*path);
        *path = NULL;
    }
    return true;
}

static bool load_text(const char *dir, const char *name, lb_template **t, lb_err *err)
{
    char *path, *text;
    size_t n;
    if (!find(dir, name, &path, err)) return false;
    if (!path) return true;
    text = lb_file_read(path, LB_TEMPLATE_MAX_SOURCE, &n, err);
    if (text) *t = lb_template_parse(text, n, path, err);
    free(text);
    free(path);
    return *t != NULL;
}

static bool parse(const json_t *s, const char *where, lb_template **t, lb_err *err)
{
    if (*t) return lb_fail(err, LB_EFORMAT, "%s: two templates of the same name", where);
    if (!json_is_string(s))
        return lb_fail(err, LB_EFORMAT, "%s: a chat template is %s, wanted a string", where, lb_json_kind(s));
    *t = lb_template_parse(json_string_value(s), json_string_length(s), where, err);
    return *t != NULL;
}

/* The key chat_template: a string, or [{"name": "default", "template": "…"}, …]. */
static bool from_config(lb_chat *c, const json_t *v, const char *path, lb_err *err)
{
    size_t i;
    json_t *item;
    lb_buf where = {0};
    lb_buf_fmt(&where, "%s: chat_template", path);
    bool ok = lb_buf_ok(&where, "a message", err);
    if (ok && json_is_array(v)) {
        json_array_foreach(v, i, item) {
            const char *name = json_string_value(json_object_get(item, "name"));
            const json_t *text = json_object_get(item, "template");
            if (!name) ok = lb_fail(err, LB_EFORMAT, "%s: entry %zu has no name", where.p, i);
            else if (!strcmp(name, "default")) ok = parse(text, where.p, &c->plain, err);
            else if (!strcmp(name, "tool_use")) ok = parse(text, where.p, &c->tools, err);
            if (!ok) break;
        }
        if (ok && !c->plain && json_array_size(v))
            ok = lb_fail(err, LB_EFORMAT, "%s: none of the templates is named 'default'", where.p);
    } else if (ok) {
        ok = parse(v, where.p, &c->plain, err);
    }
    lb_buf_free(&where);
    return ok;
}

/* Special tokens that are not known yet. */
static bool add_tokens(lb_chat *c, const json_t *config, const char *path, lb_err *err)
{
    for (int i = 0; i < N_TOKENS; i++) {
        json_t *v = json_object_get(config, token_names[i]);
        if (!v || json_is_null(v) || json_object_get(c->tokens, token_names[i])) continue;
        json_t *text = json_is_object(v) ? json_object_get(v, "content") : v;
        if (!json_is_string(text))
            return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted a string or an object with content", path,
                           token_names[i], lb_json_kind(v));
        if (json_object_set(c->tokens, token_names[i], text)) return lb_fail_mem(err, 0, "special tokens");
    }
    return true;
}

static bool read_config(lb_chat *c, const char *name, bool wants_template, lb_err *err)
{
    char *path;
    if (!find(c->dir, name, &path, err)) return false;
    if (!path) return true;
    json_t *config = lb_json_load(path, err);
    bool ok = config != NULL;
    if (ok && !json_is_object(config))
        ok = lb_fail(err, LB_EFORMAT, "%s: the file holds %s, wanted an object", path, lb_json_kind(config));
    const json_t *v = ok ? json_object_get(config, "chat_template") : NULL;
    if (v && !json_is_null(v) && wants_template && !c->plain) ok = from_config(c, v, path, err);
    ok = ok && add_tokens(c, config, path, err);
    json_decref(config);
    free(path);
    return ok;
}

lb_chat *lb_chat_open(const char *model_dir, lb_err *err)
{
    lb_chat *c = lb_alloc(1, sizeof *c, "a chat template", err);
    if (!c) return NULL;
    c->dir = strdup(model_dir);
    c->tokens = json_object();
    bool ok = c->dir && c->tokens ? true : lb_fail_mem(err, 0, "a chat template");
    if (ok && !lb_is_folder(model_dir)) ok = lb_fail(err, LB_EIO, "%s: no such folder", model_dir);
    ok = ok && load_text(c->dir, "chat_template.jinja", &c->plain, err);
    if (ok && c->plain) ok = load_text(c->dir, "additional_chat_templates/tool_use.jinja", &c->tools, err);
    ok = ok && read_config(c, "tokenizer_config.json", true, err) &&
         read_config(c, "special_tokens_map.json", false, err);
    if (ok) return c;
    lb_chat_close(c);
    return NULL;
}

void lb_chat_close(lb_chat *c)
{
    if (!c) return;
    lb_template_free(c->plain);
    lb_template_free(c->tools);
    json_decref(c->tokens);
    free(c->dir);
    free(c);
}

bool lb_chat_has_template(const lb_chat *c) { return c->plain != NULL; }

/* ---- messages as the template sees them ---- */
static json_t *get(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

/* A message without its null keys; reasoning under the names that templates read. New reference, or NULL. */
static json_t *message(const json_t *m)
{
    json_t *out = json_object(), *v, *r = get(m, "reasoning_content");
    const char *key;
    if (!r) r = get(m, "thinking");
    if (!r) r = get(m, "reasoning");
    bool bad = !out || (r && json_object_set(out, "thinking", r));
    json_object_foreach((json_t *)(uintptr_t)m, key, v)
        if (!json_is_null(v)) bad |= json_object_set(out, key, v) != 0;
    if (r) bad |= json_object_set(out, "reasoning_content", r) != 0;
    if (!bad) return out;
    json_decref(out);
    return NULL;
}

static bool add_messages(const lb_chat *c, json_t *vars, const json_t *messages, lb_err *err)
{
    size_t i;
    json_t *m, *list = json_array();
    if (json_object_set_new(vars, "messages", list)) return lb_fail_mem(err, 0, "messages");
    json_array_foreach(messages, i, m) {
        if (!json_is_object(m))
            return lb_fail(err, LB_EUSAGE, "%s: message %zu is %s, wanted an object", c->dir, i, lb_json_kind(m));
        if (json_array_append_new(list, message(m))) return lb_fail_mem(err, 0, "messages");
    }
    return true;
}

static bool add_extra(const lb_chat *c, json_t *vars, const json_t *extra, lb_err *err)
{
    if (!extra) return true;
    if (!json_is_object(extra))
        return lb_fail(err, LB_EUSAGE, "%s: the template's extra variables are %s, wanted an object", c->dir,
                       lb_json_kind(extra));
    if (json_object_get(extra, "messages") || json_object_get(extra, "add_generation_prompt"))
        return lb_fail(err, LB_EUSAGE, "%s: 'messages' and 'add_generation_prompt' are no extra variables", c->dir);
    if (json_object_update(vars, (json_t *)(uintptr_t)extra)) return lb_fail_mem(err, 0, "template variables");
    return true;
}

bool lb_chat_render(const lb_chat *c, const json_t *messages, bool add_generation_prompt, const json_t *extra,
                    lb_buf *out, lb_err *err)
{
    if (!c->plain)
        return lb_fail(err, LB_EFORMAT, "%s: the model has no chat template (no chat_template.jinja, no chat_template "
                       "in tokenizer_config.json)", c->dir);
    if (!json_is_array(messages) || !json_array_size(messages))
        return lb_fail(err, LB_EUSAGE, "%s: messages are %s, wanted an array of at least one", c->dir,
                       json_is_array(messages) ? "empty" : lb_json_kind(messages));
    json_t *vars = json_copy(c->tokens);
    bool bad = json_object_set_new(vars, "tools", json_null()) || json_object_set_new(vars, "documents", json_null()) ||
               json_object_set_new(vars, "add_generation_prompt", json_boolean(add_generation_prompt));
    bool ok = bad ? lb_fail_mem(err, 0, "template variables")
                  : add_extra(c, vars, extra, err) && add_messages(c, vars, messages, err);
    const lb_template *t = c->tools && get(vars, "tools") ? c->tools : c->plain;
    ok = ok && lb_template_render(t, vars, out, err);
    json_decref(vars);
    return ok;
}

bool lb_chat_prompt(const lb_chat *c, const char *system_or_null, const char *user, const json_t *extra, lb_buf *out,
                    lb_err *err)
{
    json_t *messages = json_array();
    static const char form[] = "{s:s, s:s}";
    bool bad = system_or_null &&
               json_array_append_new(messages, json_pack(form, "role", "system", "content", system_or_null));
    bad = bad || json_array_append_new(messages, json_pack(form, "role", "user", "content", user));
    bool ok = bad ? lb_fail(err, LB_EUSAGE, "%s: a message is not valid UTF-8", c->dir)
                  : lb_chat_render(c, messages, true, extra, out, err);
    json_decref(messages);
    return ok;
}

bool lb_chat_starts_in_thinking(const char *prompt, size_t n)
{
    static const char tag[] = "<think>";
    while (n && strchr(" \t\r\n", prompt[n - 1]) && prompt[n - 1]) n--;
    return n >= sizeof tag - 1 && !memcmp(prompt + n - (sizeof tag - 1), tag, sizeof tag - 1);
}
