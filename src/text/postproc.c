/* text/postproc.c – reading templates. */
#include "text/postproc.h"
#include "base/json.h"
#include <string.h>

static bool template_token(lb_ids *to, const json_t *special_tokens, const json_t *piece, int n_ids, const char *where,
                           lb_err *err)
{
    const char *name;
    if (!lb_json_get_str(piece, "id", &name, where, err)) return false;
    const json_t *ids = json_object_get(json_object_get(special_tokens, name), "ids");
    if (!json_is_array(ids))
        return lb_fail(err, LB_EFORMAT, "%s: the template uses '%.100s', but 'special_tokens' has no 'ids' for it",
                       where, name);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= n_ids)
            return lb_fail(err, LB_EFORMAT, "%s: an id of '%.100s' is not below %d, the size of the vocabulary", where,
                           name, n_ids);
        if (!lb_ids_push(to, (int)json_integer_value(id), err)) return false;
    }
    return true;
}

static bool load_template(lb_postproc *p, const json_t *o, int n_ids, const char *where, lb_err *err)
{
    const json_t *single = json_object_get(o, "single"), *special_tokens = json_object_get(o, "special_tokens");
    bool ok = true, text = false;
    if (p->before.n || p->behind.n)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: a second TemplateProcessing is not supported", where);
    if (!json_is_array(single))
        return lb_fail(err, LB_EFORMAT, "%s: 'single' is %s, wanted an array", where, lb_json_kind(single));
    for (size_t i = 0; ok && i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        const json_t *token = json_object_get(piece, "SpecialToken"), *sequence = json_object_get(piece, "Sequence");
        const char *id = NULL;
        if (token) {
            ok = template_token(text ? &p->behind : &p->before, special_tokens, token, n_ids, where, err);
        } else if (sequence) {
            ok = lb_json_get_str(sequence, "id", &id, where, err) &&
                 ((!strcmp(id, "A") && !text) ||
                  lb_fail(err, LB_EUNSUPPORTED, "%s: 'single' is more than one text 'A'", where));
            text = true;
        } else {
            ok =
                lb_fail(err, LB_EFORMAT, "%s: item %zu of 'single' is neither a Sequence nor a SpecialToken", where, i);
        }
    }
    return ok && (text || lb_fail(err, LB_EUNSUPPORTED, "%s: 'single' leaves the text out", where));
}

static bool load_one(lb_postproc *p, const json_t *o, int n_ids, const char *where, lb_err *err)
{
    const char *type;
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_get_str(o, "type", &type, where, err)) return false;
    if (!strcmp(type, "ByteLevel")) return true;
    if (!strcmp(type, "TemplateProcessing")) return load_template(p, o, n_ids, where, err);
    if (strcmp(type, "Sequence") != 0)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s '%.60s' is not supported, wanted ByteLevel, TemplateProcessing or a Sequence of them", where,
                       type);
    const json_t *list = json_object_get(o, "processors");
    if (!json_is_array(list))
        return lb_fail(err, LB_EFORMAT, "%s: 'processors' is %s, wanted an array", where, lb_json_kind(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!load_one(p, json_array_get(list, i), n_ids, where, err)) return false;
    return true;
}

bool lb_postproc_load(lb_postproc *p, const json_t *post_processor, int n_ids, const char *where, lb_err *err)
{
    char at[256];
    memset(p, 0, sizeof *p);
    if (!post_processor || json_is_null(post_processor)) return true;
    snprintf(at, sizeof at, "%.200s: post_processor", where);
    if (load_one(p, post_processor, n_ids, at, err)) return true;
    lb_postproc_free(p);
    return false;
}

void lb_postproc_free(lb_postproc *p)
{
    lb_ids_free(&p->before);
    lb_ids_free(&p->behind);
}
