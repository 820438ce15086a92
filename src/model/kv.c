/* model/kv.c – pages of the KV cache. */
#include "model/kv.h"
#include "base/buf.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

int lb_kv_pages_for(int n_pos) { return (n_pos + LB_PAGE - 1) / LB_PAGE; }

size_t lb_kv_bytes(const lb_config *c, const lb_kv_format *f, int n_page)
{
    size_t n;
    lb_size_mul(f->page_bytes(c->n_kv, c->d_head), (size_t)n_page, &n);
    lb_size_mul(n, 2 * (size_t)c->n_layer, &n);
    return n;
}

static const lb_kv_format *find_format(const char *name, lb_err *err)
{
    const lb_kv_format *f = lb_kv_format_find(name);
    if (f) return f;
    lb_buf b = {0};
    for (int i = 0; lb_kv_formats[i]; i++) lb_buf_fmt(&b, "%s%s", i ? ", " : "", lb_kv_formats[i]->name);
    lb_fail(err, LB_EUSAGE, "KV cache format '%s' is not known; there are %s", name, lb_buf_cstr(&b));
    lb_buf_free(&b);
    return NULL;
}

/* Attention has no row for every shape on every device: that is found out here, not in the middle of a run. */
static bool check_ops(lb_exec *ex, const lb_config *c, const lb_kv_format *f, lb_err *err)
{
    lb_kv_layer l = {.format = f, .n_kv = c->n_kv, .d_head = c->d_head};
    lb_attn a = {.kv = l, .n_tok = 1, .n_head = c->n_head};
    lb_kv_write w = {.kv = l, .n_tok = 1};
    if (lb_op_pick(&lb_op_attn, ex, &a) && lb_op_pick(&lb_op_kv_write, ex, &w)) return true;
    return lb_fail(err, LB_EUNSUPPORTED, "no attention kernel for heads of %d with a %s cache on %s", c->d_head,
                   f->name, lb_exec_name(ex));
}

lb_kv *lb_kv_open(lb_exec *ex, const lb_config *c, const char *format, int n_seq, int n_ctx, int n_page, lb_err *err)
{
    const lb_kv_format *f = find_format(format, err);
    lb_kv *kv = f && check_ops(ex, c, f, err) ? lb_alloc(1, sizeof *kv, "the KV cache", err) : NULL;
    if (!kv) return NULL;
    kv->ex = ex, kv->format = f;
    kv->n_layer = c->n_layer, kv->n_seq = n_seq, kv->max_pages = lb_kv_pages_for(n_ctx);
    int64_t all = (int64_t)n_seq * kv->max_pages;
    if (n_page <= 0 || n_page > all) n_page = all > INT32_MAX ? INT32_MAX : (int)all;
    kv->n_page = n_page;
    size_t page_bytes = f->page_bytes(c->n_kv, c->d_head);
    kv->layers = lb_alloc((size_t)c->n_layer, sizeof *kv->layers, "the KV cache", err);
    kv->pages = lb_alloc((size_t)all, sizeof(int), "the page table", err);
    kv->n_used = lb_alloc((size_t)n_seq, sizeof(int), "the page table", err);
    kv->free_list = lb_alloc((size_t)n_page, sizeof(int), "the page table", err);
    kv->pages_dev = lb_exec_alloc(ex, (size_t)all, sizeof(int), "the page table", err);
    if (!kv->layers || !kv->pages || !kv->n_used || !kv->free_list || !kv->pages_dev) goto fail;
    for (int i = 0; i < c->n_layer; i++) {
        lb_kv_layer *l = &kv->layers[i];
        *l = (lb_kv_layer){.format = f, .n_kv = c->n_kv, .d_head = c->d_head};
        l->k = lb_exec_alloc(ex, (size_t)n_page, page_bytes, "the KV cache", err);
        l->v = lb_exec_alloc(ex, (size_t)n_page, page_bytes, "the KV cache", err);
        if (!l->k || !l->v) goto fail;
    }
    for (int i = 0; i < n_page; i++) kv->free_list[i] = n_page - 1 - i; /* page 0 is handed out first */
    kv->n_free = n_page;
    kv->dirty = true;
    return kv;
fail:
    lb_kv_close(kv);
    return NULL;
}

void lb_kv_close(lb_kv *kv)
{
    if (!kv) return;
    for (int i = 0; kv->layers && i < kv->n_layer; i++) {
        lb_exec_free(kv->ex, kv->layers[i].k);
        lb_exec_free(kv->ex, kv->layers[i].v);
    }
    lb_exec_free(kv->ex, kv->pages_dev);
    free(kv->layers);
    free(kv->pages);
    free(kv->n_used);
    free(kv->free_list);
    free(kv);
}

bool lb_kv_grow(lb_kv *kv, int seq, int n_pos)
{
    int want = lb_kv_pages_for(n_pos), *used = &kv->n_used[seq];
    if (want > kv->max_pages || want - *used > kv->n_free) return false;
    for (; *used < want; ++*used) {
        kv->pages[(size_t)seq * (size_t)kv->max_pages + (size_t)*used] = kv->free_list[--kv->n_free];
        kv->dirty = true;
    }
    return true;
}

void lb_kv_release(lb_kv *kv, int seq)
{
    while (kv->n_used[seq] > 0)
        kv->free_list[kv->n_free++] = kv->pages[(size_t)seq * (size_t)kv->max_pages + (size_t)--kv->n_used[seq]];
}

void lb_kv_upload(lb_kv *kv)
{
    if (!kv->dirty) return;
    lb_exec_put(kv->ex, kv->pages_dev, kv->pages, (size_t)kv->n_seq * (size_t)kv->max_pages * sizeof(int));
    kv->dirty = false;
}
