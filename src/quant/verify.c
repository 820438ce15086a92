/* quant/verify.c – reading a folder again. */
#include "quant/verify.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/model.h"
#include "quant/layer.h"
#include "quant/plan.h"
#include "store/ct_fp4.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct run {
    const char *dir;
    const lb_verify_opt *o;
    lb_model *m;
    lb_ct_config *ct;                /* or NULL: nothing is quantized */
    lb_store *base;                  /* or NULL */
    json_t *record;                  /* lowbit-quantize.json, or NULL */
    json_t *hashes;                  /* module → hash, from it */
    lb_verify_report *r;
    size_t cap;
    float *row;                      /* [longest row] */
    size_t cap_row;
} run;

/* ---- one packed module ---- */

/* Every part as it would be written now, against what is there. */
static bool same_part(run *x, const char *module, const lb_ct_part *p, const uint8_t *bytes, lb_verify_module *v,
                      lb_err *err)
{
    char name[640];
    snprintf(name, sizeof name, "%s.%s", module, p->suffix);
    const lb_tensor *t = lb_store_find(x->m->store, name);
    bool alike = t && t->rank == p->rank && t->size_bytes == p->size_bytes;
    for (int i = 0; alike && i < p->rank; i++) alike = t->shape[i] == p->shape[i];
    if (!alike) return v->foreign = true; /* an older layout, or no weight_shape: read by lb_ct_unpack as it is */
    if (memcmp(t->data, bytes, p->size_bytes) == 0) return true;
    return lb_fail(err, LB_EVERIFY, "%s: '%s' packs to other bytes than it was unpacked from", t->file, name);
}

static bool same_when_executed(const lb_qmat *q, const char *module, lb_mat *mat, void **data, lb_err *err)
{
    lb_mat shape = lb_tile_mat(lb_qmat_num(q), q->n, q->k, q->group, q->scale_type);
    lb_qmat back = {.bits = q->bits, .n = q->n, .k = q->k, .group = q->group, .scale_type = q->scale_type,
                    .half = q->half};
    *data = lb_alloc(shape.num->size(&shape), 1, module, err);
    if (!*data || !lb_qmat_alloc(&back, err)) return false;
    size_t n = (size_t)q->n * (size_t)q->k, g = (size_t)q->n * (size_t)lb_n_group(q->k, q->group);
    lb_tile_pack(q, *data, mat);
    mat->data = *data;
    lb_tile_unpack(mat, &back);
    bool same = memcmp(q->codes, back.codes, n) == 0 && memcmp(q->scales, back.scales, g * sizeof *q->scales) == 0 &&
                memcmp(q->zeros, back.zeros, g) == 0;
    lb_qmat_free(&back);
    return same || lb_fail(err, LB_EVERIFY, "%s is executed differently from how it is stored", module);
}

static bool check_int(run *x, const lb_plan_module *m, lb_verify_module *v, lb_mat *mat, void **data, lb_err *err)
{
    lb_qmat q;
    lb_ct_part part[LB_CT_MAX_PARTS];
    if (!lb_ct_unpack(x->m->store, m->name, &m->ct, m->n, m->k, &q, err)) return false;
    int n = lb_ct_parts(&m->ct, m->n, m->k, q.scale_type, part);
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        uint8_t *bytes = lb_alloc(part[i].size_bytes, 1, m->name, err);
        ok = bytes && lb_ct_pack(&q, &m->ct, i, bytes, err) && same_part(x, m->name, &part[i], bytes, v, err);
        free(bytes);
    }
    ok = ok && same_when_executed(&q, m->name, mat, data, err);
    lb_qmat_free(&q);
    return ok;
}

static bool check_fp4(run *x, const lb_plan_module *m, lb_verify_module *v, lb_mat *mat, void **data, lb_err *err)
{
    lb_fp4mat q;
    lb_ct_part part[LB_CT_MAX_PARTS];
    if (!lb_ct_fp4_unpack(x->m->store, m->name, &m->ct, m->n, m->k, &q, err)) return false;
    int n = lb_ct_fp4_parts(&m->ct, m->n, m->k, part);
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        uint8_t *bytes = lb_alloc(part[i].size_bytes, 1, m->name, err);
        if (bytes) lb_ct_fp4_pack(&q, i, bytes);
        ok = bytes && same_part(x, m->name, &part[i], bytes, v, err);
        free(bytes);
    }
    if (ok) {
        lb_mat shape = lb_fp4_mat(q.num, q.n, q.k, q.tensor_scale);
        *data = lb_alloc(shape.num->size(&shape), 1, m->name, err);
        ok = *data != NULL;
        if (ok) lb_fp4_pack(&q, *data, mat);
        mat->data = *data;
    }
    lb_fp4mat_free(&q);
    return ok;
}

static bool check_hash(run *x, const lb_plan_module *m, lb_verify_module *v, lb_err *err)
{
    const char *want = json_string_value(json_object_get(x->hashes, m->name));
    lb_hash got;
    char hex[33];
    if (!x->record) return true;
    if (!want)
        return lb_fail(err, LB_EVERIFY, "%s: lowbit-quantize.json knows nothing of '%s', which is quantized", x->dir,
                       m->name);
    if (!lb_quant_read_hash(x->m->store, m, &got, err)) return false;
    lb_hash_hex(got, hex);
    v->hashed = strcmp(hex, want) == 0;
    return v->hashed || lb_fail(err, LB_EVERIFY,
                                "%s: '%s' is not what was quantized: its codes or scales were changed (hash %s, the "
                                "record has %.40s)", x->dir, m->name, hex, want);
}

/* ---- against the base ---- */

static bool compare(run *x, const lb_plan_module *m, const lb_mat *mat, lb_verify_module *v, lb_err *err)
{
    char name[640];
    int64_t want[2] = {m->n, m->k};
    double e = 0, all = 0;
    snprintf(name, sizeof name, "%s.weight", m->name);
    const lb_tensor *t = lb_store_find(x->base, name);
    if (!t && m->layer < 0) { /* a tied head is the embedding */
        snprintf(name, sizeof name, "%s.weight", x->m->cfg.arch->names->embed);
        t = lb_store_find(x->base, name);
    }
    if (!t) return lb_store_need(x->base, name, err) != NULL;
    if (!lb_tensor_check_shape(t, want, 2, x->dir, err)) return false;
    if (t->dtype != LB_F32 && t->dtype != LB_F16 && t->dtype != LB_BF16)
        return lb_fail(err, LB_EUSAGE, "%s: '%s' is %s: the base is quantized itself", t->file, name,
                       lb_dtype_name(t->dtype));
    if (!lb_grow(&x->row, &x->cap_row, (size_t)m->k, sizeof *x->row, "a row", err)) return false;
    for (int r = 0; r < m->n; r++) {
        mat->num->decode(mat, r, 0, m->k, x->row);
        for (int k = 0; k < m->k; k++) {
            double w = (double)lb_load_f32(t->data, t->dtype, (size_t)r * (size_t)m->k + (size_t)k),
                   d = (double)x->row[k] - w;
            e += d * d, all += w * w;
        }
    }
    v->error = all > 0 ? e / all : 0;
    return true;
}

/* ---- modules ---- */

/* The float weight as the file has it. */
static bool float_mat(run *x, const lb_plan_module *m, lb_mat *mat, lb_err *err)
{
    char name[640];
    snprintf(name, sizeof name, "%s.weight", m->name);
    const lb_tensor *t = lb_store_need(x->m->store, name, err);
    if (t) *mat = (lb_mat){.num = lb_num_of_dtype(t->dtype), .n = m->n, .k = m->k, .data = t->data};
    return t != NULL;
}

static bool check_module(run *x, lb_plan_module *m, lb_err *err)
{
    const lb_ct_scheme *s = NULL;
    char name[640];
    void *data = NULL;
    lb_mat mat = {0};
    if (x->o->stop && *x->o->stop) return lb_fail(err, LB_ESTOPPED, "stopped");
    if (x->ct && !lb_ct_config_find(x->ct, m->name, "Linear", &s, err)) return false;
    if (!s && m->layer < 0) return true;
    if (!lb_grow(&x->r->p, &x->cap, (size_t)x->r->n + 1, sizeof *x->r->p, "the report", err)) return false;
    lb_verify_module *v = &x->r->p[x->r->n];
    *v = (lb_verify_module){.name = strdup(m->name), .layer = m->layer, .n = m->n, .k = m->k, .error = NAN};
    if (!v->name) return lb_fail_mem(err, strlen(m->name), "the report");
    x->r->n++;
    bool ok = true;
    if (s) {
        m->ct = *s;
        snprintf(name, sizeof name, "%s.weight", m->name);
        if (lb_store_find(x->m->store, name))
            return lb_fail(err, LB_EVERIFY, "%s: '%s' is there twice, packed and as '%s'", x->dir, m->name, name);
        ok = (lb_ct_fp4_num(s) ? check_fp4 : check_int)(x, m, v, &mat, &data, err) && check_hash(x, m, v, err);
        x->r->n_quantized++;
        x->r->n_hashed += v->hashed;
    } else {
        ok = float_mat(x, m, &mat, err);
    }
    if (ok) snprintf(v->format, sizeof v->format, "%s", mat.num->name);
    ok = ok && (!x->base || x->r->moved || compare(x, m, &mat, v, err));
    free(data);
    if (ok && x->o->progress) {
        lb_progress_what(x->o->progress, "verify · %s", m->name);
        lb_progress_add(x->o->progress, 1, 0);
    }
    return ok;
}

static bool one_linear(void *arg, const char *name, int layer, int n, int k, lb_err *err)
{
    lb_plan_module m = {.name = (char *)(uintptr_t)name, .layer = layer, .n = n, .k = k};
    return check_module(arg, &m, err);
}

/* ---- the folder ---- */

static bool open_config(run *x, lb_err *err)
{
    char *path = lb_path_join(x->dir, "config.json", err);
    json_t *o = path ? lb_json_load(path, err) : NULL;
    const json_t *q = json_object_get(o, "quantization_config");
    bool ok = o != NULL;
    if (ok && q && !json_is_null(q)) ok = (x->ct = lb_ct_config_parse(q, path, err)) != NULL;
    json_decref(o);
    free(path);
    return ok;
}

static bool open_record(run *x, lb_err *err)
{
    char *path = lb_path_join(x->dir, "lowbit-quantize.json", err);
    bool ok = path != NULL;
    x->hashes = json_object();
    if (ok && lb_file_exists(path)) {
        size_t i;
        json_t *m;
        const json_t *list = NULL;
        x->record = lb_json_load(path, err);
        ok = x->record != NULL;
        if (ok && !json_is_array(list = json_object_get(x->record, "modules")))
            ok = lb_fail(err, LB_EFORMAT, "%s: 'modules' is %s, wanted an array", path, lb_json_kind(list));
        json_array_foreach ((json_t *)(uintptr_t)list, i, m) {
            const char *name = json_string_value(json_object_get(m, "name"));
            json_t *hash = json_object_get(m, "hash");
            if (!name || !json_is_string(hash))
                ok = ok && lb_fail(err, LB_EFORMAT, "%s: modules[%zu] has no name or hash", path, i);
            else json_object_set(x->hashes, name, hash);
        }
    }
    free(path);
    x->r->has_record = x->record != NULL;
    return ok;
}

/* Whether weights of the output stand for the base's of the same name: no transform at run time, none folded. */
static void find_out_what_moved(run *x)
{
    const char *method = json_string_value(json_object_get(x->record, "method"));
    lb_chain chain;
    for (int s = 0; s < LB_N_SITE; s++) x->r->moved |= x->m->online.transform[s] != LB_TRANSFORM_NONE;
    if (method) x->r->moved |= !lb_chain_parse(method, &chain, NULL) || chain.n_transform > 0;
}

/* The record knows which weights it began with. */
static bool open_base(run *x, lb_err *err)
{
    const char *want = json_string_value(json_object_get(x->record, "model"));
    char hex[33];
    if (!x->o->base) return true;
    x->base = lb_store_open(x->o->base, err);
    if (!x->base || !want) return x->base != NULL;
    lb_hash_hex(lb_store_hash(x->base), hex);
    if (strcmp(hex, want) == 0) return true;
    return lb_fail(err, LB_EVERIFY,
                   "%s was not made from %s: lowbit-quantize.json names weights with the hash %.40s, these have %s", x->dir,
                   x->o->base, want, hex);
}

static bool check_tensors(run *x, lb_err *err)
{
    const lb_store *s = x->m->store;
    x->r->n_tensor = (int)lb_store_count(s);
    for (size_t i = 0; i < lb_store_count(s); i++)
        if (!lb_tensor_need_finite(lb_store_at(s, i), err)) return false;
    return true;
}

/* Every module of the record is quantized in the folder. */
static bool check_record(run *x, lb_err *err)
{
    if (!x->record || (int)json_object_size(x->hashes) == x->r->n_hashed) return true;
    const char *name;
    json_t *v;
    json_object_foreach (x->hashes, name, v) {
        bool found = false;
        for (int i = 0; i < x->r->n && !found; i++) found = x->r->p[i].hashed && strcmp(x->r->p[i].name, name) == 0;
        if (!found)
            return lb_fail(err, LB_EVERIFY,
                           "%s: lowbit-quantize.json says that '%.200s' was quantized; config.json does not", x->dir,
                           name);
    }
    return true;
}

static void summarize(lb_verify_report *r)
{
    double sum = 0;
    int n = 0;
    r->worst = r->worst_layer = -1;
    for (int i = 0; i < r->n; i++) {
        if (isnan(r->p[i].error)) continue;
        sum += r->p[i].error, n++;
        if (r->worst < 0 || r->p[i].error > r->p[r->worst].error) r->worst = i;
    }
    r->error_mean = n ? sum / n : NAN;
    for (int i = 0; i < r->n;) { /* modules of a block stand together */
        int layer = r->p[i].layer, count = 0;
        double of_layer = 0;
        for (; i < r->n && r->p[i].layer == layer; i++) of_layer += r->p[i].error, count++;
        if (layer < 0 || isnan(of_layer) || (r->worst_layer >= 0 && of_layer / count <= r->worst_layer_error)) continue;
        r->worst_layer = layer, r->worst_layer_error = of_layer / count;
    }
}

bool lb_verify(const char *dir, const lb_verify_opt *o, lb_exec *ex, lb_verify_report *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    run x = {.dir = dir, .o = o, .r = out};
    bool ok = (x.m = lb_model_open(dir, ex, err)) != NULL && open_config(&x, err) && open_record(&x, err) &&
              open_base(&x, err) && check_tensors(&x, err);
    if (ok) find_out_what_moved(&x);
    ok = ok && lb_config_linears(&x.m->cfg, one_linear, &x, err) &&
         one_linear(&x, x.m->cfg.arch->names->lm_head, -1, x.m->cfg.n_vocab, x.m->cfg.d_model, err) &&
         check_record(&x, err);
    if (ok) out->bpw = x.m->bpw;
    if (ok) summarize(out);
    lb_ct_config_free(x.ct);
    lb_store_close(x.base);
    json_decref(x.hashes);
    json_decref(x.record);
    lb_model_close(x.m);
    free(x.row);
    if (!ok) lb_verify_free(out);
    return ok;
}

void lb_verify_free(lb_verify_report *r)
{
    for (int i = 0; i < r->n; i++) free(r->p[i].name);
    free(r->p);
    memset(r, 0, sizeof *r);
}
