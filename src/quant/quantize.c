/* quant/quantize.c – folder to folder: plan, solve layer by layer, write, read back. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "quant/quantize.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/config.h"
#include "model/model.h"
#include "store/ct.h"
#include "store/folder.h"
#include "store/safetensors.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

typedef struct module {
    char *name;                      /* owned */
    int n, k;
    lb_scheme scheme;                /* w_bits 16: left alone */
    lb_ct_scheme ct;
    const lb_tensor *src;
    lb_hash hash;                    /* of the codes, scales and zeros that the method gave */
} module;

typedef struct plan {
    const lb_quantize_opt *o;
    pcre2_code **rules;              /* [o->n_rule], owned */
    module *p;
    size_t n, cap;
    int n_quantized;
} plan;

static void plan_free(plan *x)
{
    for (size_t i = 0; i < x->n; i++) free(x->p[i].name);
    for (int i = 0; x->rules && i < x->o->n_rule; i++) pcre2_code_free(x->rules[i]);
    free(x->rules);
    free(x->p);
}

static bool compile_rules(plan *x, lb_err *err)
{
    x->rules = lb_alloc((size_t)x->o->n_rule, sizeof *x->rules, "the rules", err);
    if (!x->rules) return false;
    for (int i = 0; i < x->o->n_rule; i++) {
        int code;
        PCRE2_SIZE at;
        const char *text = x->o->rules[i].pattern;
        x->rules[i] = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
        if (x->rules[i]) continue;
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        return lb_fail(err, LB_EUSAGE, "--tensor '%s' is not a regular expression: %s at %zu", text, (char *)why,
                       (size_t)at);
    }
    return true;
}

/* *out: the scheme of the first rule that matches, or NULL. */
static bool rule_for(const plan *x, const char *name, const lb_scheme **out, lb_err *err)
{
    *out = NULL;
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    if (!md) return lb_fail_mem(err, 0, "the rules");
    bool ok = true;
    for (int i = 0; ok && !*out && i < x->o->n_rule; i++) {
        int rc = pcre2_match(x->rules[i], (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, md, NULL);
        if (rc >= 0) *out = &x->o->rules[i].scheme;
        else if (rc != PCRE2_ERROR_NOMATCH)
            ok = lb_fail(err, LB_EUSAGE, "--tensor '%s' takes too many steps on '%s'", x->o->rules[i].pattern, name);
    }
    pcre2_match_data_free(md);
    return ok;
}

static bool add_module(plan *x, const char *name, int n, int k, const lb_scheme *s, lb_err *err)
{
    if (s->w_bits < 16 && s->group > k)
        return lb_fail(
            err, LB_EUSAGE,
            "%s: group %d is longer than the row of %d columns; choose a smaller group, or g-1 for the whole row", name,
            s->group, k);
    if (!lb_grow(&x->p, &x->cap, x->n + 1, sizeof *x->p, "the plan", err)) return false;
    module *m = &x->p[x->n];
    *m = (module){.name = strdup(name), .n = n, .k = k, .scheme = *s};
    if (!m->name) return lb_fail_mem(err, strlen(name), "the plan");
    m->ct = (lb_ct_scheme){.bits = s->w_bits, .group = s->group > 0 ? s->group : 0, .symmetric = s->sym};
    x->n++;
    x->n_quantized += s->w_bits < 16;
    return true;
}

static bool add_linear(void *arg, const char *name, int layer, int n, int k, lb_err *err)
{
    (void)layer;
    plan *x = arg;
    const lb_scheme *s;
    return rule_for(x, name, &s, err) && add_module(x, name, n, k, s ? s : &x->o->scheme, err);
}

static bool make_plan(plan *x, const lb_config *c, const lb_quantize_opt *o, lb_err *err)
{
    *x = (plan){.o = o};
    if (!compile_rules(x, err) || !lb_config_linears(c, add_linear, x, err)) return false;
    const char *head = c->arch->names->lm_head;
    const lb_scheme *s, none = {.w_bits = 16};
    if (!rule_for(x, head, &s, err) || !add_module(x, head, c->n_vocab, c->d_model, s ? s : &none, err)) return false;
    if (x->n_quantized == 0)
        return lb_fail(err, LB_EUSAGE, "the scheme leaves every layer at 16 bits: there is nothing to quantize");
    return true;
}

bool lb_quantize_plan(const char *model_dir, const lb_quantize_opt *o,
                      bool (*fn)(void *, const char *, int, int, const lb_scheme *), void *arg, lb_err *err)
{
    lb_config c;
    plan x = {.o = o};
    bool ok = lb_config_load(&c, model_dir, err) && make_plan(&x, &c, o, err);
    for (size_t i = 0; ok && i < x.n && fn(arg, x.p[i].name, x.p[i].n, x.p[i].k, &x.p[i].scheme); i++) {}
    plan_free(&x);
    lb_config_free(&c);
    return ok;
}

/* ---- writing ---- */

/* Where a module's weight lies in the input; a tied head is the embedding. */
static bool find_source(module *m, const lb_store *s, const lb_config *c, lb_err *err)
{
    char name[600];
    snprintf(name, sizeof name, "%s.weight", m->name);
    m->src = lb_store_find(s, name);
    if (!m->src && c->tied && strcmp(m->name, c->arch->names->lm_head) == 0) {
        snprintf(name, sizeof name, "%s.weight", c->arch->names->embed);
        m->src = lb_store_find(s, name);
    }
    if (!m->src) return lb_store_need(s, name, err) != NULL;
    int64_t want[2] = {m->n, m->k};
    if (!lb_tensor_check_shape(m->src, want, 2, "config.json", err)) return false;
    if (m->src->dtype != LB_BF16 && m->src->dtype != LB_F16 && m->src->dtype != LB_F32)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: tensor '%s' is %s, wanted BF16, F16 or F32", m->src->file, name,
                       lb_dtype_name(m->src->dtype));
    return lb_tensor_need_finite(m->src, err);
}

/* The planned module whose own weight t is, or NULL. */
static const module *module_of(const plan *x, const lb_tensor *t)
{
    for (size_t i = 0; i < x->n; i++) {
        const module *m = &x->p[i];
        if (m->src != t || m->scheme.w_bits == 16) continue;
        size_t n = strlen(m->name);
        if (strncmp(t->name, m->name, n) == 0 && strcmp(t->name + n, ".weight") == 0) return m;
    }
    return NULL;
}

static bool declare(const plan *x, const lb_store *s, lb_st_writer *w, lb_err *err)
{
    for (size_t i = 0; i < lb_store_count(s); i++) {
        const lb_tensor *t = lb_store_at(s, i);
        if (!module_of(x, t) && !lb_st_writer_declare(w, t->name, t->dtype, t->rank, t->shape, err)) return false;
    }
    for (size_t i = 0; i < x->n; i++) {
        const module *m = &x->p[i];
        lb_ct_part part[LB_CT_MAX_PARTS];
        if (m->scheme.w_bits == 16) continue;
        int n = lb_ct_parts(&m->ct, m->n, m->k, m->src->dtype, part);
        for (int j = 0; j < n; j++) {
            char name[640];
            snprintf(name, sizeof name, "%s.%s", m->name, part[j].suffix);
            if (!lb_st_writer_declare(w, name, part[j].dtype, part[j].rank, part[j].shape, err)) return false;
        }
    }
    return lb_st_writer_begin(w, err);
}

static lb_hash hash_qmat(const lb_qmat *q)
{
    size_t n = (size_t)q->n * (size_t)q->k, g = (size_t)q->n * (size_t)lb_n_group(q->k, q->group);
    lb_hash h = lb_hash_of(q->codes, n);
    h = lb_hash_bytes(q->scales, g * sizeof *q->scales, h);
    return lb_hash_bytes(q->zeros, g, h);
}

static double relative_error(const lb_qmat *q, const float *w)
{
    double e = 0, all = 0;
    int n_group = lb_n_group(q->k, q->group);
    for (int r = 0; r < q->n; r++) {
        for (int k = 0; k < q->k; k++) {
            size_t i = (size_t)r * (size_t)q->k + (size_t)k, g = (size_t)r * (size_t)n_group + (size_t)(k / q->group);
            double d = (double)(q->scales[g] * (float)((int)q->codes[i] - (int)q->zeros[g])) - (double)w[i];
            e += d * d;
            all += (double)w[i] * (double)w[i];
        }
    }
    return all > 0 ? e / all : 0;
}

static bool write_module(module *m, const lb_qmat *q, lb_st_writer *w, lb_quantize_report *rep, lb_err *err)
{
    lb_ct_part part[LB_CT_MAX_PARTS];
    int n = lb_ct_parts(&m->ct, m->n, m->k, q->scale_type, part);
    bool ok = true;
    for (int j = 0; ok && j < n; j++) {
        char name[640];
        snprintf(name, sizeof name, "%s.%s", m->name, part[j].suffix);
        uint8_t *bytes = lb_alloc(part[j].size_bytes, 1, name, err);
        ok = bytes && lb_ct_pack(q, &m->ct, j, bytes, err) && lb_st_writer_put(w, name, bytes, part[j].size_bytes, err);
        free(bytes);
        rep->bits_per_weight += 8.0 * (double)part[j].size_bytes;
    }
    m->hash = hash_qmat(q);
    return ok;
}

static bool solve_module(const plan *x, module *m, lb_st_writer *w, lb_exec *ex, lb_quantize_report *rep, lb_err *err)
{
    size_t n = (size_t)m->n * (size_t)m->k;
    lb_qmat q = {.bits = m->scheme.w_bits,
                 .n = m->n,
                 .k = m->k,
                 .group = m->scheme.group > 0 ? m->scheme.group : m->k,
                 .scale_type = m->src->dtype};
    float *f = lb_alloc(n, sizeof *f, m->name, err);
    bool ok = f && lb_qmat_alloc(&q, err);
    for (size_t i = 0; ok && i < n; i++) f[i] = lb_load_f32(m->src->data, m->src->dtype, i);
    lb_quant_job job = {.name = m->name, .w = f, .n = m->n, .k = m->k, .scheme = m->scheme, .scale_type = m->src->dtype,
                        .clip_mse = x->o->clip_mse, .ex = ex};
    ok = ok && x->o->method->solve(&job, &q, err) && write_module(m, &q, w, rep, err);
    if (ok) rep->mse_rel += relative_error(&q, f);
    lb_qmat_free(&q);
    free(f);
    return ok;
}

static bool copy_others(const plan *x, const lb_store *s, lb_st_writer *w, lb_err *err)
{
    for (size_t i = 0; i < lb_store_count(s); i++) {
        const lb_tensor *t = lb_store_at(s, i);
        if (module_of(x, t)) continue;
        if (!lb_tensor_need_finite(t, err) || !lb_st_writer_put(w, t->name, t->data, t->size_bytes, err)) return false;
    }
    return true;
}

/* config.json with quantization_config; a head that got its own weights is no longer tied. */
static bool write_config(const plan *x, const lb_config *c, const char *from, const char *to, lb_err *err)
{
    lb_ct_module *list = lb_alloc(x->n, sizeof *list, "the config", err);
    const char **ignore = lb_alloc(x->n + (size_t)c->n_layer, sizeof *ignore, "the config", err);
    char *routers = lb_alloc((size_t)c->n_layer, 512, "the config", err);
    size_t n = 0, n_ignore = 0;
    bool untie = false;
    for (size_t i = 0; list && ignore && i < x->n; i++) {
        if (x->p[i].scheme.w_bits == 16) ignore[n_ignore++] = x->p[i].name;
        else list[n++] = (lb_ct_module){.name = x->p[i].name, .scheme = x->p[i].ct};
        untie |= x->p[i].scheme.w_bits < 16 && c->tied && strcmp(x->p[i].name, c->arch->names->lm_head) == 0;
    }
    for (int i = 0; ignore && routers && i < c->n_layer; i++) {
        if (!lb_config_is_moe_layer(c, i)) continue;
        snprintf(routers + 512 * i, 512, "%s.%d.%s", c->arch->names->layers, i, c->arch->names->router);
        ignore[n_ignore++] = routers + 512 * i;
    }
    json_t *qc = list && ignore && routers ? lb_ct_config_build(list, n, ignore, n_ignore, err) : NULL;
    bool ok = qc && lb_folder_write_config(from, to, qc, err);
    if (ok && untie) {
        size_t size;
        char *path = lb_path_join(to, "config.json", err),
             *text = path ? lb_file_read(path, LB_JSON_MAX_BYTES, &size, err) : NULL;
        char *now = text ? lb_json_set_text(text, "tie_word_embeddings", json_false(), path, err) : NULL;
        ok = now && lb_write_file(path, now, strlen(now), err);
        free(now);
        free(text);
        free(path);
    }
    json_decref(qc);
    free(routers);
    free(ignore);
    free(list);
    return ok;
}

/* Reads the folder back with the reader that everybody uses, and compares with what the method gave. */
static bool verify(const plan *x, const char *dir, lb_err *err)
{
    lb_store *s = lb_store_open(dir, err);
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < x->n; i++) {
        const module *m = &x->p[i];
        lb_qmat q;
        if (m->scheme.w_bits == 16) continue;
        ok = lb_ct_unpack(s, m->name, &m->ct, m->n, m->k, &q, err);
        if (!ok) break;
        lb_hash h = hash_qmat(&q);
        if (h.hi != m->hash.hi || h.lo != m->hash.lo)
            ok = lb_fail(err, LB_EVERIFY, "%s: '%s' reads back different from what was quantized", dir, m->name);
        lb_qmat_free(&q);
    }
    lb_store_close(s);
    return ok;
}

static double store_bytes(const lb_store *s)
{
    double sum = 0;
    for (size_t i = 0; i < lb_store_count(s); i++) sum += (double)lb_store_at(s, i)->size_bytes;
    return sum;
}

static bool write_all(plan *x, const lb_config *c, const lb_store *s, const char *from, const char *to, lb_exec *ex,
                      lb_quantize_report *rep, lb_err *err)
{
    double weights = 0;
    lb_st_writer *w = lb_st_writer_open(to, 0, err);
    bool ok = w && declare(x, s, w, err) && copy_others(x, s, w, err);
    for (size_t i = 0; ok && i < x->n; i++) {
        module *m = &x->p[i];
        if (m->scheme.w_bits == 16) continue;
        if (x->o->stop && *x->o->stop) ok = lb_fail(err, LB_ESTOPPED, "stopped; nothing was written");
        ok = ok && solve_module(x, m, w, ex, rep, err);
        weights += (double)m->n * (double)m->k;
        rep->n_linear++;
        if (x->o->progress) {
            lb_progress_what(x->o->progress, "%s · %s", x->o->method->name, m->name);
            lb_progress_add(x->o->progress, 1, 0);
        }
    }
    ok = ok && lb_st_writer_commit(w, err) && lb_folder_copy(from, to, err) && write_config(x, c, from, to, err) &&
         verify(x, to, err);
    lb_st_writer_close(w);
    rep->bits_per_weight /= weights > 0 ? weights : 1;
    rep->mse_rel /= rep->n_linear ? rep->n_linear : 1;
    return ok;
}

static bool refuse_quantized(const char *dir, lb_err *err)
{
    char *path = lb_path_join(dir, "config.json", err);
    json_t *o = path ? lb_json_load(path, err) : NULL;
    bool ok = o != NULL;
    if (json_is_object(json_object_get(o, "quantization_config")))
        ok = lb_fail(err, LB_EUNSUPPORTED, "%s: the model is quantized already; start from the 16-bit one", dir);
    json_decref(o);
    free(path);
    return ok;
}

bool lb_quantize(const char *model_dir, const char *out_dir, const lb_quantize_opt *o, lb_exec *ex,
                 lb_quantize_report *rep, lb_err *err)
{
    memset(rep, 0, sizeof *rep);
    if (lb_same_file(model_dir, out_dir)) return lb_fail(err, LB_EUSAGE, "the output %s is the input", out_dir);
    lb_config c;
    plan x = {.o = o};
    lb_store *s = NULL;
    lb_outdir d = {0};
    bool ok = lb_config_load(&c, model_dir, err) && refuse_quantized(model_dir, err) && make_plan(&x, &c, o, err) &&
              (s = lb_store_open(model_dir, err)) != NULL;
    for (size_t i = 0; ok && i < x.n; i++)
        if (x.p[i].scheme.w_bits < 16) ok = find_source(&x.p[i], s, &c, err);
    ok = ok && lb_outdir_open(&d, out_dir, err);
    if (ok) {
        rep->bytes_in = store_bytes(s);
        ok = write_all(&x, &c, s, model_dir, d.tmp, ex, rep, err);
        lb_store *out = ok ? lb_store_open(d.tmp, err) : NULL;
        if (out) rep->bytes_out = store_bytes(out);
        lb_store_close(out);
        ok = ok && out && lb_outdir_commit(&d, err);
        if (!ok) lb_outdir_abort(&d);
    }
    lb_store_close(s);
    plan_free(&x);
    lb_config_free(&c);
    return ok;
}
