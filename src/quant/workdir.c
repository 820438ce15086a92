/* quant/workdir.c – finished layers on disk. */
#define _DEFAULT_SOURCE /* flock */
#include "quant/workdir.h"
#include "base/file.h"
#include "base/mem.h"
#include "quant/given.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static char *file(const lb_workdir *w, int layer, const char *ext, lb_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "layer-%05d.%s", layer, ext);
    return lb_path_join(w->path, name, err);
}

static void set_hex(json_t *o, const char *key, lb_hash h)
{
    char hex[33];
    lb_hash_hex(h, hex);
    json_object_set_new(o, key, json_string(hex));
}

/* What plan.json cannot say would not be compared either. */
static bool check_texts(const lb_quantize_opt *o, lb_err *err)
{
    for (int i = 0; i <= o->n_rule; i++) {
        const char *s = i < o->n_rule ? o->rules[i].pattern : o->calib && o->calib_name ? o->calib_name : "";
        json_t *text = json_string(s);
        if (!text) return lb_fail(err, LB_EUSAGE, "%s '%s' is not UTF-8", i < o->n_rule ? "--tensor" : "--calib", s);
        json_decref(text);
    }
    return true;
}

/* Everything that decides the bytes of the output. */
static json_t *describe(lb_quant_run *r)
{
    const lb_quantize_opt *o = r->o;
    char text[LB_SCHEME_TEXT], method[256] = "";
    for (int i = 0; i < o->chain.n_transform && o->chain.transform[i] != o->chain.solver; i++)
        snprintf(method + strlen(method), sizeof method - strlen(method), "%s+", o->chain.transform[i]->name);
    snprintf(method + strlen(method), sizeof method - strlen(method), "%s", o->chain.solver->name);
    lb_scheme_text(&o->scheme, text);
    json_t *j = json_pack("{s:s, s:s, s:s, s:i, s:s}", "method", method, "scheme", text, "kv_cache",
                          r->online.kv[0] ? r->online.kv : "bf16", "clip", (int)o->clip, "version", lb_version());
    if (!j) return NULL;
    json_t *rules = json_array(), *options = json_object();
    for (int i = 0; i < o->n_rule; i++) {
        lb_scheme_text(&o->rules[i].scheme, text);
        json_array_append_new(rules, json_pack("[s, s]", o->rules[i].pattern, text));
    }
    for (int i = 0; i < o->options.n; i++)
        json_object_set_new(options, o->options.name[i], json_real(o->options.value[i]));
    json_object_set_new(j, "tensors", rules);
    json_object_set_new(j, "options", options);
    if (o->act_clip > 0) json_object_set_new(j, "act_clip", json_real((double)o->act_clip));
    if (o->save_latent) json_object_set_new(j, "latent", json_true());
    if (o->given) {
        json_object_set_new(j, "trained", json_string(o->given->name));
        set_hex(j, "trained_hash", o->given->hash);
    }
    set_hex(j, "model", lb_store_hash(r->m->store));
    if (o->calib) {
        size_t n = (size_t)o->n_seq * (size_t)o->seqlen * sizeof *o->calib;
        json_t *c = json_pack("{s:s, s:i, s:i}", "source", o->calib_name ? o->calib_name : "token ids", "nsamples",
                              o->n_seq, "seqlen", o->seqlen);
        set_hex(c, "hash", lb_hash_of(o->calib, n));
        json_object_set_new(j, "calibration", c);
    }
    return j;
}

/* The first key in which two plans differ, or NULL. */
static const char *difference(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    json_object_foreach ((json_t *)a, key, v)
        if (!json_equal(v, json_object_get(b, key))) return key;
    json_object_foreach ((json_t *)b, key, v)
        if (!json_object_get(a, key)) return key;
    return NULL;
}

static bool same_plan(lb_workdir *w, lb_quant_run *r, lb_err *err)
{
    char *path = lb_path_join(w->path, "plan.json", err);
    json_t *now = NULL, *was = NULL;
    bool ok = path && check_texts(r->o, err) && ((now = describe(r)) != NULL || lb_fail_mem(err, 0, "the plan"));
    if (ok && lb_file_exists(path)) {
        ok = (was = lb_json_load(path, err)) != NULL;
        const char *key = ok ? difference(now, was) : NULL;
        if (key)
            ok = lb_fail(err, LB_EUSAGE, "%s holds layers of another run (its %s differs): remove it, or choose another "
                         "output", w->path, key);
    } else if (ok) {
        ok = lb_json_save(path, now, err);
    }
    json_decref(was);
    json_decref(now);
    free(path);
    return ok;
}

static bool open_folder(lb_workdir *w, const char *out_dir, lb_quant_run *r, lb_err *err)
{
    size_t n = strlen(out_dir);
    while (n > 1 && out_dir[n - 1] == '/') n--;
    w->path = lb_alloc(n + sizeof ".partial", 1, "a path", err);
    if (!w->path) return false;
    memcpy(w->path, out_dir, n);
    strcpy(w->path + n, ".partial");
    if (!lb_mkdirs(w->path, err)) return false;
    w->fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->fd < 0) return lb_fail_io(err, "%s", w->path);
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0)
        return lb_fail(err, LB_EUSAGE, "%s is in use: another run is making %s", w->path, out_dir);
    return same_plan(w, r, err);
}

bool lb_workdir_open(lb_workdir *w, const char *out_dir, lb_quant_run *r, lb_err *err)
{
    *w = (lb_workdir){.fd = -1};
    if (open_folder(w, out_dir, r, err)) return true;
    lb_workdir_close(w, false); /* the lock goes with it */
    return false;
}

bool lb_workdir_has(const lb_workdir *w, int layer)
{
    char *path = file(w, layer, "json", NULL);
    bool there = path && lb_file_exists(path);
    free(path);
    return there;
}

/* Sets the record's hash to that of what lies on disk now. */
static bool note_hash(json_t *record, const char *path, lb_err *err)
{
    lb_store *s = lb_store_open(path, err);
    if (s) set_hex(record, "hash", lb_store_hash(s));
    lb_store_close(s);
    return s != NULL;
}

bool lb_workdir_put(lb_workdir *w, int layer, const lb_parts *parts, json_t *record, lb_err *err)
{
    char *st = file(w, layer, "safetensors", err), *js = st ? file(w, layer, "json", err) : NULL;
    bool ok = js && lb_parts_write(parts, st, err) && note_hash(record, st, err) && lb_json_save(js, record, err);
    free(js);
    free(st);
    return ok;
}

json_t *lb_workdir_record(const lb_workdir *w, int layer, lb_err *err)
{
    char *path = file(w, layer, "json", err);
    json_t *j = path ? lb_json_load(path, err) : NULL;
    free(path);
    return j;
}

lb_store *lb_workdir_tensors(const lb_workdir *w, int layer, lb_err *err)
{
    char *path = file(w, layer, "safetensors", err), hex[33];
    json_t *record = path ? lb_workdir_record(w, layer, err) : NULL;
    lb_store *s = record ? lb_store_open(path, err) : NULL;
    const char *want = json_string_value(json_object_get(record, "hash"));
    if (s) lb_hash_hex(lb_store_hash(s), hex);
    if (s && (!want || strcmp(hex, want) != 0)) {
        lb_fail(err, LB_EVERIFY, "%s is not what its record says: remove %s and start anew", path, w->path);
        lb_store_close(s);
        s = NULL;
    }
    json_decref(record);
    free(path);
    return s;
}

json_t *lb_workdir_plan(const lb_workdir *w, lb_err *err)
{
    char *path = lb_path_join(w->path, "plan.json", err);
    json_t *j = path ? lb_json_load(path, err) : NULL;
    free(path);
    return j;
}

/* Only what this file made is removed: files of the names above, then the folder if it is empty. */
static void remove_all(const lb_workdir *w)
{
    DIR *d = opendir(w->path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strncmp(e->d_name, "layer-", 6) != 0 && strncmp(e->d_name, "plan.json", 9) != 0) continue;
        char *path = lb_path_join(w->path, e->d_name, NULL);
        if (path) unlink(path);
        free(path);
    }
    if (d) closedir(d);
    rmdir(w->path);
}

void lb_workdir_close(lb_workdir *w, bool remove_it)
{
    if (w->fd >= 0 && remove_it) remove_all(w);
    if (w->fd >= 0) close(w->fd);
    free(w->path);
    *w = (lb_workdir){.fd = -1};
}
