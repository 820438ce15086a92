/* quant/assemble.c – putting finished layers together: weights, config, record; then reading all of it back. */
#include "quant/assemble.h"
#include "base/file.h"
#include "base/mem.h"
#include "quant/layer.h"
#include "store/folder.h"
#include "store/safetensors.h"
#include <stdlib.h>
#include <string.h>

typedef struct assembly {
    lb_quant_run *r;
    const lb_workdir *w;
    lb_store **layers;           /* [n], owned: the layers' files, then the head's */
    int n;
} assembly;

static bool open_layers(assembly *a, lb_err *err)
{
    a->n = a->r->cfg->n_layer + 1;
    a->layers = lb_alloc((size_t)a->n, sizeof *a->layers, "the layers", err);
    for (int i = 0; a->layers && i < a->n; i++)
        if (!(a->layers[i] = lb_workdir_tensors(a->w, i, err))) return false;
    return a->layers != NULL;
}

static void close_layers(assembly *a)
{
    for (int i = 0; a->layers && i < a->n; i++) lb_store_close(a->layers[i]);
    free(a->layers);
}

static bool is_latent(const char *name)
{
    size_t n = strlen(name);
    return n > 7 && strcmp(name + n - 7, ".latent") == 0;
}

/* Whether the output has something else in place of a tensor of the model. */
static bool replaced(const assembly *a, const lb_tensor *t)
{
    for (int i = 0; i < a->n; i++)
        if (lb_store_find(a->layers[i], t->name)) return true;
    size_t n = strlen(t->name);
    if (n <= 7 || strcmp(t->name + n - 7, ".weight") != 0) return false;
    char module[600];
    snprintf(module, sizeof module, "%.*s", (int)(n - 7), t->name);
    const lb_plan_module *m = lb_plan_module_of(&a->r->plan, module);
    return m && m->scheme.w_bits < 16;
}

/* fn for every tensor of the output, in a fixed order: the model's own, then layer by layer. */
typedef bool (*tensor_fn)(void *arg, const lb_tensor *t, lb_err *err);
static bool each(const assembly *a, bool latent, tensor_fn fn, void *arg, lb_err *err)
{
    const lb_store *s = a->r->m->store;
    for (size_t i = 0; !latent && i < lb_store_count(s); i++) {
        const lb_tensor *t = lb_store_at(s, i);
        if (!replaced(a, t) && !fn(arg, t, err)) return false;
    }
    for (int l = 0; l < a->n; l++)
        for (size_t i = 0; i < lb_store_count(a->layers[l]); i++) {
            const lb_tensor *t = lb_store_at(a->layers[l], i);
            if (is_latent(t->name) == latent && !fn(arg, t, err)) return false;
        }
    return true;
}

static bool declare(void *arg, const lb_tensor *t, lb_err *err)
{
    return lb_st_writer_declare(arg, t->name, t->dtype, t->rank, t->shape, err);
}
static bool put(void *arg, const lb_tensor *t, lb_err *err)
{
    return lb_tensor_need_finite(t, err) && lb_st_writer_put(arg, t->name, t->data, t->size_bytes, err);
}

static bool write_weights(const assembly *a, const char *to, bool latent, lb_err *err)
{
    lb_st_writer *w = lb_st_writer_open(to, 0, err);
    bool ok = w && each(a, latent, declare, w, err) && lb_st_writer_begin(w, err) && each(a, latent, put, w, err) &&
              lb_st_writer_commit(w, err);
    lb_st_writer_close(w);
    return ok;
}

typedef struct key { const char *name; json_t *value; } key; /* of config.json; a value of NULL is left alone */

static bool set_keys(const char *to, const key *keys, int n, lb_err *err)
{
    size_t size;
    char *path = lb_path_join(to, "config.json", err), *text = path ? lb_file_read(path, LB_JSON_MAX_BYTES, &size, err) : NULL;
    for (int i = 0; text && i < n; i++) {
        if (!keys[i].value) continue;
        char *now = lb_json_set_text(text, keys[i].name, keys[i].value, path, err);
        free(text);
        text = now;
    }
    bool ok = text && lb_write_file(path, text, strlen(text), err);
    free(text);
    free(path);
    return ok;
}

/* Whether the output has a head of its own, in floats or packed. */
static bool has_head(const assembly *a)
{
    const lb_store *s = a->layers[a->n - 1];
    const char *head = a->r->cfg->arch->names->lm_head;
    size_t n = strlen(head);
    for (size_t i = 0; i < lb_store_count(s); i++) {
        const char *name = lb_store_at(s, i)->name;
        if (strncmp(name, head, n) == 0 && name[n] == '.') return true;
    }
    return false;
}

static bool write_config(const assembly *a, const char *from, const char *to, lb_err *err)
{
    const lb_quant_run *r = a->r;
    bool own_head = r->cfg->tied && has_head(a);
    key keys[] = {{"lowbit", lb_online_json(&r->online)}, {"tie_word_embeddings", own_head ? json_false() : NULL}};
    json_t *qc = NULL;
    bool ok = !r->plan.n_quantized || (qc = lb_plan_ct_json(&r->plan, r->cfg, err)) != NULL;
    if (ok && qc && keys[0].value) json_object_set_new(qc, "quant_method", json_string("lowbit"));
    ok = ok && lb_folder_write_config(from, to, qc, err) &&
         (!(keys[0].value || keys[1].value) || set_keys(to, keys, 2, err));
    json_decref(keys[0].value);
    json_decref(qc);
    return ok;
}

static bool broken(const assembly *a, int layer, lb_err *err)
{
    return lb_fail(err, LB_EFORMAT, "%s: the record of layer %d is broken; remove the folder and start anew", a->w->path, layer);
}

/* lowbit-quantize.json: the plan, and what each module became. */
static json_t *gather(const assembly *a, lb_err *err)
{
    json_t *plan = lb_workdir_plan(a->w, err), *all = json_array();
    bool ok = plan && all;
    for (int i = 0; ok && i < a->n; i++) {
        json_t *rec = lb_workdir_record(a->w, i, err);
        ok = rec && (json_array_extend(all, json_object_get(rec, "modules")) == 0 || broken(a, i, err));
        json_decref(rec);
    }
    if (ok) json_object_set(plan, "modules", all);
    json_decref(all);
    if (ok) return plan;
    json_decref(plan);
    return NULL;
}

static void count(json_t *record, lb_quantize_report *rep)
{
    double bytes = 0, weights = 0;
    size_t i;
    json_t *m;
    json_array_foreach (json_object_get(record, "modules"), i, m) {
        bytes += json_number_value(json_object_get(m, "bytes"));
        weights += json_number_value(json_object_get(m, "n")) * json_number_value(json_object_get(m, "k"));
        rep->mse_rel += json_number_value(json_object_get(m, "mse_rel"));
        rep->n_linear++;
    }
    rep->bits_per_weight = weights > 0 ? 8 * bytes / weights : 0;
    rep->mse_rel /= rep->n_linear ? rep->n_linear : 1;
}

/* {module: hash} of a record, or NULL. */
static json_t *hashes(const json_t *record)
{
    json_t *all = json_object(), *m;
    size_t i;
    json_array_foreach (json_object_get(record, "modules"), i, m) {
        const char *name = json_string_value(json_object_get(m, "name"));
        if (name) json_object_set(all, name, json_object_get(m, "hash"));
    }
    return all;
}

/* Reads every quantized module of the folder back with the reader that everybody uses, and compares with what the methods
 * gave. */
static bool verify(const assembly *a, const char *dir, const json_t *record, lb_quantize_report *rep, lb_err *err)
{
    lb_store *s = lb_store_open(dir, err);
    const lb_plan *plan = &a->r->plan;
    json_t *wanted = hashes(record);
    bool ok = s && (wanted || lb_fail_mem(err, 0, "the record"));
    for (size_t i = 0; ok && i < plan->n; i++) {
        const lb_plan_module *p = &plan->p[i];
        if (p->scheme.w_bits == 16) continue;
        const char *want = json_string_value(json_object_get(wanted, p->name));
        lb_hash got;
        char hex[33];
        if (!want) ok = lb_fail(err, LB_EVERIFY, "%s: the record of '%s' is missing", a->w->path, p->name);
        if (!ok || !(ok = lb_quant_read_hash(s, p, &got, err))) break;
        lb_hash_hex(got, hex);
        if (strcmp(hex, want) != 0)
            ok = lb_fail(err, LB_EVERIFY, "%s: '%s' reads back different from what was quantized", dir, p->name);
    }
    for (size_t j = 0; s && j < lb_store_count(s); j++) rep->bytes_out += (double)lb_store_at(s, j)->size_bytes;
    json_decref(wanted);
    lb_store_close(s);
    return ok;
}

bool lb_assemble(lb_quant_run *r, const lb_workdir *w, const char *from, const char *to, lb_quantize_report *rep,
                 lb_err *err)
{
    assembly a = {.r = r, .w = w};
    json_t *record = NULL;
    char *path = NULL, *latent = NULL;
    bool ok = open_layers(&a, err) && write_weights(&a, to, false, err) && lb_folder_copy(from, to, err) &&
              write_config(&a, from, to, err) && (record = gather(&a, err)) != NULL &&
              (path = lb_path_join(to, "lowbit-quantize.json", err)) != NULL && lb_json_save(path, record, err);
    if (ok && r->o->save_latent)
        ok = (latent = lb_path_join(to, "latent.safetensors", err)) != NULL && write_weights(&a, latent, true, err);
    if (ok) count(record, rep);
    ok = ok && verify(&a, to, record, rep, err);
    for (size_t i = 0; i < lb_store_count(r->m->store); i++)
        rep->bytes_in += (double)lb_store_at(r->m->store, i)->size_bytes;
    free(latent);
    free(path);
    json_decref(record);
    close_layers(&a);
    return ok;
}
