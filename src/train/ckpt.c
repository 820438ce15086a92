/* train/ckpt.c – checkpoints. */
#include "train/ckpt.h"
#include "store/safetensors.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>

#define STATE "state"

bool lb_ckpt_save(const char *path, const lb_ckpt_array *a, size_t n, const json_t *state, lb_err *err)
{
    char *text = json_dumps(state, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (!text) return lb_fail_mem(err, 0, "the checkpoint's state");
    int64_t shape = (int64_t)strlen(text);
    lb_st_writer *w = lb_st_writer_open(path, 0, err);
    bool ok = w && lb_st_writer_declare(w, STATE, LB_U8, 1, &shape, err);
    for (size_t i = 0; ok && i < n; i++)
        ok = lb_st_writer_declare(w, a[i].name, LB_F32, 1, (int64_t[]){(int64_t)a[i].n}, err);
    ok = ok && lb_st_writer_begin(w, err) && lb_st_writer_put(w, STATE, text, (size_t)shape, err);
    for (size_t i = 0; ok && i < n; i++) ok = lb_st_writer_put(w, a[i].name, a[i].v, a[i].n * sizeof(float), err);
    ok = ok && lb_st_writer_commit(w, err);
    lb_st_writer_close(w);
    free(text);
    return ok || lb_wrap(err, "the checkpoint was not written; the one before it is kept");
}

static json_t *parse_state(const lb_store *s, const char *path, lb_err *err)
{
    const lb_tensor *t = lb_store_need(s, STATE, err);
    if (!t) return NULL;
    if (t->dtype == LB_U8) return lb_json_parse((const char *)t->data, t->size_bytes, path, err);
    lb_fail(err, LB_EFORMAT, "%s is no checkpoint: '%s' is %s", path, STATE, lb_dtype_name(t->dtype));
    return NULL;
}

json_t *lb_ckpt_state(const char *path, lb_err *err)
{
    lb_store *s = lb_store_open(path, err);
    json_t *state = s ? parse_state(s, path, err) : NULL;
    lb_store_close(s);
    return state;
}

bool lb_ckpt_load(const char *path, const lb_ckpt_array *a, size_t n, lb_err *err)
{
    lb_store *s = lb_store_open(path, err);
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        const lb_tensor *t = lb_store_need(s, a[i].name, err);
        ok = t && lb_tensor_check_shape(t, (int64_t[]){(int64_t)a[i].n}, 1, "the run", err) &&
             (t->dtype == LB_F32 ||
              lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted F32", path, a[i].name, lb_dtype_name(t->dtype)));
    }
    for (size_t i = 0; ok && i < n; i++) memcpy(a[i].v, lb_store_find(s, a[i].name)->data, a[i].n * sizeof(float));
    lb_store_close(s);
    return ok;
}
