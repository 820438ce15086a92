/* quant/parts.c – collecting and writing the tensors of a layer. */
#include "quant/parts.h"
#include "base/mem.h"
#include "store/ct_fp4.h"
#include "store/safetensors.h"
#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An entry with room for its bytes; NULL if there is no memory. */
static lb_part_tensor *add(lb_parts *p, const char *name, lb_dtype dtype, int rank, const int64_t *shape, lb_err *err)
{
    size_t n = lb_dtype_bytes(dtype);
    for (int i = 0; i < rank; i++) lb_size_mul(n, (size_t)shape[i], &n);
    if (!lb_grow(&p->p, &p->cap, p->n + 1, sizeof *p->p, name, err)) return NULL;
    lb_part_tensor *t = &p->p[p->n];
    *t = (lb_part_tensor){.name = strdup(name), .dtype = dtype, .rank = rank, .size_bytes = n};
    for (int i = 0; i < rank; i++) t->shape[i] = shape[i];
    t->data = t->name ? lb_alloc(n, 1, name, err) : NULL;
    p->n++;
    if (!t->name) lb_fail_mem(err, strlen(name), "a tensor");
    return t->data ? t : NULL;
}

bool lb_parts_float(lb_parts *p, const char *name, lb_dtype dtype, int rank, const int64_t *shape, const float *v,
                    lb_err *err)
{
    lb_part_tensor *t = add(p, name, dtype, rank, shape, err);
    if (!t) return false;
    size_t n = t->size_bytes / lb_dtype_bytes(dtype);
    for (size_t i = 0; i < n; i++) lb_store_f32(t->data, dtype, i, v[i]);
    lb_tensor whole = {.name = t->name, .file = "a new layer", .dtype = dtype, .rank = rank, .data = t->data,
                       .size_bytes = t->size_bytes};
    memcpy(whole.shape, shape, (size_t)rank * sizeof *shape);
    return lb_tensor_need_finite(&whole, err);
}

bool lb_parts_qmat(lb_parts *p, const char *module, const lb_qmat *q, const lb_ct_scheme *s, double *bytes, lb_err *err)
{
    lb_ct_part part[LB_CT_MAX_PARTS];
    int n = lb_ct_parts(s, q->n, q->k, q->scale_type, part);
    for (int j = 0; j < n; j++) {
        char name[640];
        snprintf(name, sizeof name, "%s.%s", module, part[j].suffix);
        lb_part_tensor *t = add(p, name, part[j].dtype, part[j].rank, part[j].shape, err);
        if (!t || !lb_ct_pack(q, s, j, t->data, err)) return false;
        if (bytes) *bytes += (double)t->size_bytes;
    }
    return true;
}

bool lb_parts_fp4(lb_parts *p, const char *module, const lb_fp4mat *q, const lb_ct_scheme *s, double *bytes, lb_err *err)
{
    lb_ct_part part[LB_CT_MAX_PARTS];
    int n = lb_ct_fp4_parts(s, q->n, q->k, part);
    for (int j = 0; j < n; j++) {
        char name[640];
        snprintf(name, sizeof name, "%s.%s", module, part[j].suffix);
        lb_part_tensor *t = add(p, name, part[j].dtype, part[j].rank, part[j].shape, err);
        if (!t) return false;
        lb_ct_fp4_pack(q, j, t->data);
        if (bytes) *bytes += (double)t->size_bytes;
    }
    return true;
}

bool lb_parts_write(const lb_parts *p, const char *path, lb_err *err)
{
    lb_st_writer *w = lb_st_writer_open(path, 0, err);
    bool ok = w != NULL;
    for (size_t i = 0; ok && i < p->n; i++)
        ok = lb_st_writer_declare(w, p->p[i].name, p->p[i].dtype, p->p[i].rank, p->p[i].shape, err);
    ok = ok && lb_st_writer_begin(w, err);
    for (size_t i = 0; ok && i < p->n; i++)
        ok = lb_st_writer_put(w, p->p[i].name, p->p[i].data, p->p[i].size_bytes, err);
    ok = ok && lb_st_writer_commit(w, err);
    lb_st_writer_close(w);
    return ok;
}

void lb_parts_free(lb_parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->p[i].name);
        free(p->p[i].data);
    }
    free(p->p);
    *p = (lb_parts){0};
}
