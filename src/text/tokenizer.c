/* text/tokenizer.c – loading tokenizer.json, and the way of a text through its parts. */
#include "text/tokenizer.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/nfc.h"
#include "text/tokenizer_impl.h"
#include "text/utf8.h"
#include <stdlib.h>
#include <string.h>

/* ---- loading ---- */

/* null, NFC, or a Sequence of NFC. */
static bool load_normalizer(const json_t *o, bool *nfc, const char *where, lb_err *err)
{
    const char *type;
    if (!o || json_is_null(o)) return true;
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_get_str(o, "type", &type, where, err)) return false;
    if (!strcmp(type, "NFC")) return *nfc = true;
    if (strcmp(type, "Sequence") != 0)
        return lb_fail(err, LB_EUNSUPPORTED, "%s '%.60s' is not supported, wanted null, NFC or a Sequence of NFC",
                       where, type);
    const json_t *list = json_object_get(o, "normalizers");
    if (!json_is_array(list))
        return lb_fail(err, LB_EFORMAT, "%s: 'normalizers' is %s, wanted an array", where, lb_json_kind(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!load_normalizer(json_array_get(list, i), nfc, where, err)) return false;
    return true;
}

static bool check_decoder(const json_t *o, const char *where, lb_err *err)
{
    const char *type;
    if (!json_is_object(o)) return lb_fail(err, LB_EUNSUPPORTED, "%s is %s, wanted ByteLevel", where, lb_json_kind(o));
    if (!lb_json_get_str(o, "type", &type, where, err)) return false;
    if (!strcmp(type, "ByteLevel")) return true;
    return lb_fail(err, LB_EUNSUPPORTED, "%s '%.60s' is not supported, wanted ByteLevel", where, type);
}

static bool load(lb_tokenizer *t, const json_t *root, const char *where, lb_err *err)
{
    char at[256];
    const char *version = "1.0";
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(root)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(root));
    if (!lb_json_opt_str(root, "version", &version, where, err)) return false;
    if (strcmp(version, "1.0") != 0)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: version '%.20s' is not supported, wanted 1.0", where, version);
    if (!json_is_object(model))
        return lb_fail(err, LB_EFORMAT, "%s: 'model' is %s, wanted an object", where, lb_json_kind(model));
    snprintf(at, sizeof at, "%.200s: normalizer", where);
    if (!load_normalizer(json_object_get(root, "normalizer"), &t->nfc, at, err)) return false;
    snprintf(at, sizeof at, "%.200s: decoder", where);
    if (!check_decoder(json_object_get(root, "decoder"), at, err)) return false;
    if (!(t->pretok = lb_pretok_load(json_object_get(root, "pre_tokenizer"), where, err)) ||
        !(t->bpe = lb_bpe_load(model, where, err)) ||
        !(t->added = lb_added_load(json_object_get(root, "added_tokens"), t->bpe, t->nfc, where, err)))
        return false;
    int top = lb_added_max_id(t->added);
    t->n_ids = lb_bpe_size(t->bpe) > top ? lb_bpe_size(t->bpe) : top + 1;
    return lb_postproc_load(&t->post, json_object_get(root, "post_processor"), t->n_ids, where, err);
}

static lb_tokenizer *from_json(json_t *root, const char *where, lb_err *err)
{
    if (!root) return NULL;
    lb_tokenizer *t = lb_alloc(1, sizeof *t, "tokenizer", err);
    if (t && !load(t, root, where, err)) {
        lb_tokenizer_close(t);
        t = NULL;
    }
    json_decref(root);
    return t;
}

lb_tokenizer *lb_tokenizer_parse(const char *json, size_t n, const char *where, lb_err *err)
{
    return from_json(lb_json_parse(json, n, where, err), where, err);
}

lb_tokenizer *lb_tokenizer_open(const char *model_dir, lb_err *err)
{
    char *path = lb_path_join(model_dir, "tokenizer.json", err);
    if (!path) return NULL;
    lb_tokenizer *t = from_json(lb_json_load(path, err), path, err);
    free(path);
    return t;
}

void lb_tokenizer_close(lb_tokenizer *t)
{
    if (!t) return;
    lb_bpe_free(t->bpe);
    lb_added_free(t->added);
    lb_pretok_free(t->pretok);
    lb_postproc_free(&t->post);
    free(t);
}

/* ---- questions ---- */

int lb_tokenizer_id(const lb_tokenizer *t, const char *piece)
{
    int id = lb_added_id(t->added, piece);
    return id >= 0 ? id : lb_bpe_id(t->bpe, piece);
}

int lb_tokenizer_size(const lb_tokenizer *t) { return t->n_ids; }
bool lb_tokenizer_is_special(const lb_tokenizer *t, int id) { return lb_added_is_special(t->added, id); }

/* ---- encoding ---- */

/* One call of lb_tokenizer_encode. */
typedef struct call {
    const lb_tokenizer *t;
    unsigned flags;
    lb_bpe_work bpe;
    lb_pretok_work *pretok;          /* owned */
    lb_stretches raw, normal;        /* added tokens of the text, and of one stretch of it after normalization */
    lb_buf clean, nfc;
    lb_ids *out;
} call;

static bool take_piece(void *arg, const char *piece, size_t n, lb_err *err)
{
    call *c = arg;
    return lb_bpe_encode(c->t->bpe, &c->bpe, piece, n, c->out, err);
}

/* A stretch between added tokens of the raw text: normalize, find the normalized added tokens, and encode the rest. */
static bool encode_plain(call *c, const char *s, size_t n, lb_err *err)
{
    if (c->t->nfc && !lb_nfc_inert(s, n)) {
        lb_buf_reset(&c->nfc);
        if (!lb_nfc(s, n, &c->nfc, err)) return false;
        s = lb_buf_cstr(&c->nfc), n = c->nfc.n;
    }
    if (!(c->flags & LB_ENCODE_SPECIAL) || !lb_added_any(c->t->added, true))
        return lb_pretok_run(c->t->pretok, c->pretok, s, n, take_piece, c, err);
    if (!lb_added_split(c->t->added, true, s, n, &c->normal, err)) return false;
    for (size_t i = 0; i < c->normal.n; i++) {
        const lb_stretch *k = &c->normal.p[i];
        bool ok = k->id >= 0
                      ? lb_ids_push(c->out, k->id, err)
                      : lb_pretok_run(c->t->pretok, c->pretok, s + k->start, k->end - k->start, take_piece, c, err);
        if (!ok) return false;
    }
    return true;
}

static bool encode_text(call *c, const char *s, size_t n, lb_err *err)
{
    if (!lb_utf8_valid(s, n)) {
        lb_utf8_clean(&c->clean, s, n);
        if (!lb_buf_ok(&c->clean, "text", err)) return false;
        s = c->clean.p, n = c->clean.n;
    }
    if (!(c->flags & LB_ENCODE_SPECIAL) || !lb_added_any(c->t->added, false)) return encode_plain(c, s, n, err);
    if (!lb_added_split(c->t->added, false, s, n, &c->raw, err)) return false;
    for (size_t i = 0; i < c->raw.n; i++) {
        const lb_stretch *k = &c->raw.p[i];
        if (!(k->id >= 0 ? lb_ids_push(c->out, k->id, err) : encode_plain(c, s + k->start, k->end - k->start, err)))
            return false;
    }
    return true;
}

static bool push_all(lb_ids *out, const lb_ids *ids, lb_err *err)
{
    for (size_t i = 0; i < ids->n; i++)
        if (!lb_ids_push(out, ids->p[i], err)) return false;
    return true;
}

bool lb_tokenizer_encode(const lb_tokenizer *t, const char *text, size_t n, unsigned flags, lb_ids *out, lb_err *err)
{
    size_t n_before = out->n;
    call c = {.t = t, .flags = flags, .out = out, .pretok = lb_pretok_work_open(n, err)};
    bool ok = c.pretok && (!(flags & LB_ENCODE_BOS) || push_all(out, &t->post.before, err)) &&
              (!n || encode_text(&c, text, n, err)) &&
              (!(flags & LB_ENCODE_BOS) || push_all(out, &t->post.behind, err));
    if (!ok) out->n = n_before;
    lb_pretok_work_close(c.pretok);
    lb_bpe_work_free(&c.bpe);
    free(c.raw.p);
    free(c.normal.p);
    lb_buf_free(&c.clean);
    lb_buf_free(&c.nfc);
    return ok;
}
