/* store.c – the list of formats, opening by probe, lookup, identity. */
#include "store/format.h"
#include "base/buf.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LB_STORE(m) extern const lb_store_format lb_store_##m;
#include "store/stores.def"
#undef LB_STORE
#define LB_STORE(m) &lb_store_##m,
const lb_store_format *const lb_store_formats[] = {
#include "store/stores.def"
    NULL};

static bool no_format(const char *path, lb_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) return lb_fail_io(err, "cannot open %s", path);
    lb_buf b = {0};
    for (int i = 0; lb_store_formats[i]; i++) lb_buf_fmt(&b, "%s%s", i ? "; or " : "", lb_store_formats[i]->wants);
    lb_fail(err, LB_EFORMAT, "%s: no weights found there; wanted %s", path, lb_buf_cstr(&b));
    lb_buf_free(&b);
    return false;
}

lb_store *lb_store_open(const char *path, lb_err *err)
{
    lb_store *s = lb_alloc(1, sizeof *s, "a store", err);
    if (!s) return NULL;
    bool ok = (s->path = strdup(path)) != NULL || lb_fail_mem(err, strlen(path), "a path");
    for (int i = 0; ok && lb_store_formats[i] && !s->format; i++)
        if (lb_store_formats[i]->probe(path)) s->format = lb_store_formats[i];
    if (ok && !s->format) ok = no_format(path, err);
    if (ok && s->format->open(s, path, err)) return s;
    lb_store_close(s);
    return NULL;
}

void lb_store_close(lb_store *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n_file; i++) {
        lb_map_close(&s->files[i].map);
        free(s->files[i].path);
        free(s->names[i]);
    }
    free(s->files);
    free(s->names);
    free(s->t);
    free(s->copies);
    free(s->path);
    free(s);
}

size_t lb_store_count(const lb_store *s) { return s->n; }
const lb_tensor *lb_store_at(const lb_store *s, size_t i) { return i < s->n ? &s->t[i] : NULL; }
const char *lb_store_path(const lb_store *s) { return s->path; }
const char *lb_store_format_name(const lb_store *s) { return s->format->name; }

static int by_name(const void *key, const void *t) { return strcmp(key, ((const lb_tensor *)t)->name); }

const lb_tensor *lb_store_find(const lb_store *s, const char *name)
{
    return s->n ? bsearch(name, s->t, s->n, sizeof *s->t, by_name) : NULL;
}

const lb_tensor *lb_store_need(const lb_store *s, const char *name, lb_err *err)
{
    const lb_tensor *t = lb_store_find(s, name);
    return t ? t : lb_fail_null(err, LB_EFORMAT, "%s: there is no tensor '%.200s'", s->path, name);
}

lb_hash lb_store_hash(const lb_store *s)
{
    lb_hash h = {0, 0};
    for (size_t i = 0; i < s->n; i++) {
        const lb_tensor *t = &s->t[i];
        int64_t head[LB_MAX_RANK + 2] = {t->dtype, t->rank};
        memcpy(head + 2, t->shape, (size_t)t->rank * sizeof *head);
        h = lb_hash_bytes(t->name, strlen(t->name), h);
        h = lb_hash_bytes(head, sizeof head, h);
        h = lb_hash_bytes(t->data, t->size_bytes, h);
    }
    return h;
}

bool lb_store_unchanged(const lb_store *s, lb_err *err)
{
    for (size_t i = 0; i < s->n_file; i++) {
        const lb_store_file *f = &s->files[i];
        struct stat st;
        if (stat(f->path, &st) != 0) return lb_fail_io(err, "%s went away while it was in use", f->path);
        if (st.st_dev != f->dev || st.st_ino != f->ino || (uint64_t)st.st_size != f->map.size ||
            st.st_mtim.tv_sec != f->mtime.tv_sec || st.st_mtim.tv_nsec != f->mtime.tv_nsec)
            return lb_fail(err, LB_EIO, "%s changed while it was in use", f->path);
    }
    return true;
}

/* ---- for the formats ---- */

bool lb_store_reserve(lb_store *s, size_t n_file, lb_err *err)
{
    s->files = lb_alloc(n_file, sizeof *s->files, "the file table", err);
    s->names = lb_alloc(n_file, sizeof *s->names, "the file table", err);
    s->cap_file = n_file;
    return s->files && s->names;
}

lb_store_file *lb_store_map(lb_store *s, const char *path, lb_err *err)
{
    lb_store_file *f = &s->files[s->n_file];
    struct stat st;
    f->path = strdup(path);
    if (!f->path) {
        lb_fail_mem(err, strlen(path), "a path");
        return NULL;
    }
    s->n_file++; /* from here on close() takes care of it */
    if (!lb_map_open(&f->map, path, err)) return NULL;
    if (stat(path, &st) != 0) {
        lb_fail_io(err, "cannot stat %s", path);
        return NULL;
    }
    f->dev = st.st_dev, f->ino = st.st_ino, f->mtime = st.st_mtim;
    return f;
}
