/* st_writer.c – safetensors files with every tensor at a place known before its bytes are. */
#define _GNU_SOURCE /* fallocate */
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/safetensors.h"
#include "store/st_header.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct entry {
    char *name;              /* owned */
    lb_dtype dtype;
    int rank;
    int64_t shape[LB_MAX_RANK];
    size_t size_bytes, given;
    size_t shard;
    uint64_t at;             /* first byte, from the start of its file */
} entry;

struct lb_st_writer {
    char *path;              /* owned */
    bool folder, begun;
    size_t shard_bytes;
    entry *e;                /* owned; in order of declaration, after begin sorted by name */
    size_t n, cap;
    char (*files)[64];       /* owned; names of the shards */
    lb_out *outs;            /* owned */
    size_t n_shard;
};

lb_st_writer *lb_st_writer_open(const char *path, size_t shard_bytes, lb_err *err)
{
    size_t len = strlen(path);
    bool folder = lb_is_folder(path);
    if (!folder && (len < 12 || strcmp(path + len - 12, ".safetensors") != 0))
        return lb_fail_null(err, LB_EUSAGE, "%s is neither a folder nor a *.safetensors file", path);
    lb_st_writer *w = lb_alloc(1, sizeof *w, "a writer", err);
    if (!w) return NULL;
    w->folder = folder;
    w->shard_bytes = !folder ? SIZE_MAX : shard_bytes ? shard_bytes : LB_ST_SHARD_BYTES;
    w->path = strdup(path);
    if (w->path) return w;
    lb_fail_mem(err, len, "a path");
    lb_st_writer_close(w);
    return NULL;
}

void lb_st_writer_close(lb_st_writer *w)
{
    if (!w) return;
    for (size_t i = 0; i < w->n; i++) free(w->e[i].name);
    for (size_t i = 0; w->outs && i < w->n_shard; i++) lb_out_abort(&w->outs[i]);
    free(w->e);
    free(w->files);
    free(w->outs);
    free(w->path);
    free(w);
}

size_t lb_st_writer_n_shard(const lb_st_writer *w) { return w->n_shard; }

static bool is_good_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) return false;
    json_t *v = json_string(name); /* NULL if it is not UTF-8 */
    json_decref(v);
    return v && n && n <= LB_ST_MAX_NAME && strcmp(name, "__metadata__") != 0;
}

bool lb_st_writer_declare(lb_st_writer *w, const char *name, lb_dtype dtype, int rank, const int64_t *shape,
                          lb_err *err)
{
    if (w->begun)
        return lb_fail(err, LB_EFAIL, "%s: tensor '%.200s' is declared after the first was written", w->path, name);
    if (!is_good_name(name)) return lb_fail(err, LB_EFAIL, "%s: '%.200s' cannot name a tensor", w->path, name);
    if (rank < 0 || rank > LB_MAX_RANK || w->n == LB_ST_MAX_TENSORS)
        return lb_fail(err, LB_EFAIL, "%s: tensor '%.200s' has %d dimensions, or is one too many", w->path, name, rank);
    entry e = {.dtype = dtype, .rank = rank, .size_bytes = lb_dtype_bytes(dtype)};
    for (int i = 0; i < rank; i++) {
        e.shape[i] = shape[i];
        if (shape[i] < 0 || !lb_size_mul(e.size_bytes, (size_t)shape[i], &e.size_bytes) || e.size_bytes > INT64_MAX)
            return lb_fail(err, LB_EFAIL, "%s: the size of tensor '%.200s' overflows", w->path, name);
    }
    if (!lb_grow(&w->e, &w->cap, w->n + 1, sizeof e, "the tensor table", err)) return false;
    e.name = strdup(name);
    if (!e.name) return lb_fail_mem(err, strlen(name), "a tensor name");
    w->e[w->n++] = e;
    return true;
}

/* ---- places ---- */

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

/* The reference writer's order of types: larger elements come first, which keeps all of them aligned. */
static int type_rank(lb_dtype t)
{
    static const lb_dtype order[] = {LB_U64, LB_I64, LB_F64, LB_F32, LB_U32, LB_I32, LB_BF16, LB_F16, LB_U16, LB_I16,
                                     LB_F8_E8M0, LB_F8_E4M3, LB_F8_E5M2, LB_I8, LB_U8, LB_BOOL};
    int i = 0;
    while (order[i] != t) i++;
    return i;
}

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int tx = type_rank(x->dtype), ty = type_rank(y->dtype);
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return tx != ty ? tx - ty : by_name(a, b);
}

static bool fill_shards(lb_st_writer *w, lb_err *err)
{
    size_t used = 0, shard = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (used && w->e[i].size_bytes > w->shard_bytes - (used < w->shard_bytes ? used : w->shard_bytes))
            shard++, used = 0;
        w->e[i].shard = shard;
        if (!lb_size_add(used, w->e[i].size_bytes, &used) || used > INT64_MAX)
            return lb_fail(err, LB_EFAIL, "%s: the tensors' sizes overflow", w->path);
    }
    size_t n_shard = shard + 1;
    w->outs = lb_alloc(n_shard, sizeof *w->outs, "the shards", err);
    w->files = lb_alloc(n_shard, sizeof *w->files, "the shards", err);
    if (!w->outs || !w->files) return false;
    w->n_shard = n_shard;
    for (size_t i = 0; i < n_shard; i++) {
        w->outs[i].fd = -1;
        if (n_shard == 1) strcpy(w->files[i], "model.safetensors");
        else snprintf(w->files[i], sizeof *w->files, "model-%05zu-of-%05zu.safetensors", i + 1, n_shard);
    }
    return true;
}

/* Header of the shard with entries e[0…n), padded so that the data begin at a multiple of 8; sets e[i].at. */
static bool build_header(lb_buf *b, entry *e, size_t n, lb_err *err)
{
    uint64_t at = 0;
    lb_buf_add(b, "\0\0\0\0\0\0\0", 8); /* the length, known at the end */
    lb_buf_str(b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_string(e[i].name);
        char *name = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
        json_decref(v);
        if (!name) return lb_fail_mem(err, 0, "a tensor name");
        lb_buf_fmt(b, ",%s:{\"dtype\":\"%s\",\"shape\":[", name, lb_dtype_name(e[i].dtype));
        free(name);
        for (int d = 0; d < e[i].rank; d++) lb_buf_fmt(b, "%s%lld", d ? "," : "", (long long)e[i].shape[d]);
        lb_buf_fmt(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                   (unsigned long long)(at + e[i].size_bytes));
        e[i].at = at;
        at += e[i].size_bytes;
    }
    lb_buf_byte(b, '}');
    while (b->n % 8 && !b->oom) lb_buf_byte(b, ' ');
    if (!lb_buf_ok(b, "a safetensors header", err)) return false;
    if (b->n - 8 > LB_ST_MAX_HEADER)
        return lb_fail(err, LB_EFAIL, "the header would have %zu bytes, more than the %zu allowed", b->n - 8,
                       LB_ST_MAX_HEADER);
    for (int i = 0; i < 8; i++) b->p[i] = (char)((uint64_t)(b->n - 8) >> (8 * i));
    for (size_t i = 0; i < n; i++) e[i].at += b->n;
    return true;
}

static bool begin_shard(lb_st_writer *w, size_t shard, entry *e, size_t n, lb_err *err)
{
    lb_buf head = {0};
    char *path = w->folder ? lb_path_join(w->path, w->files[shard], err) : strdup(w->path);
    lb_out *o = &w->outs[shard];
    bool ok = path && build_header(&head, e, n, err) && lb_out_open(o, path, err);
    if (ok) ok = lb_out_write(o, head.p, head.n, err);
    uint64_t end = n ? e[n - 1].at + e[n - 1].size_bytes : head.n;
    /* Other failures only say that this file system cannot reserve. */
    if (ok && fallocate(o->fd, 0, 0, (off_t)end) != 0 && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
        ok = lb_fail_io(err, "cannot write %s (%.2f GB)", path, (double)end / 1e9);
    lb_buf_free(&head);
    free(path);
    return ok;
}

bool lb_st_writer_begin(lb_st_writer *w, lb_err *err)
{
    if (w->begun) return lb_fail(err, LB_EFAIL, "%s: begun twice", w->path);
    if (!lb_grow(&w->e, &w->cap, w->n + 1, sizeof *w->e, "the tensor table", err)) return false; /* not NULL without tensors */
    w->begun = true;
    if (!fill_shards(w, err)) return false;
    qsort(w->e, w->n, sizeof *w->e, by_place);
    for (size_t i = 0, j, shard = 0; shard < w->n_shard; i = j, shard++) {
        for (j = i; j < w->n && w->e[j].shard == shard;) j++;
        if (!begin_shard(w, shard, w->e + i, j - i, err)) return false;
    }
    qsort(w->e, w->n, sizeof *w->e, by_name);
    for (size_t i = 1; i < w->n; i++)
        if (strcmp(w->e[i - 1].name, w->e[i].name) == 0)
            return lb_fail(err, LB_EFAIL, "%s: tensor '%.200s' is declared twice", w->path, w->e[i].name);
    return true;
}

/* ---- bytes ---- */

/* Writes at a place of the temporary file without moving its end, where lb_out itself writes the header at commit. */
static bool write_at(lb_out *o, const uint8_t *p, size_t n, uint64_t at, lb_err *err)
{
    while (n && !o->failed_errno) {
        ssize_t done = pwrite(o->fd, p, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) o->failed_errno = errno;
        else p += done, n -= (size_t)done, at += (uint64_t)done;
    }
    if (!o->failed_errno) return true;
    errno = o->failed_errno;
    return lb_fail_io(err, "cannot write %s", o->path);
}

static int by_key(const void *key, const void *e) { return strcmp(key, ((const entry *)e)->name); }

bool lb_st_writer_put(lb_st_writer *w, const char *name, const void *p, size_t n, lb_err *err)
{
    entry *e = w->begun && w->n ? bsearch(name, w->e, w->n, sizeof *w->e, by_key) : NULL;
    if (!e) return lb_fail(err, LB_EFAIL, "%s: tensor '%.200s' is written but not declared", w->path, name);
    if (n > e->size_bytes - e->given)
        return lb_fail(err, LB_EFAIL, "%s: tensor '%.200s' has %zu bytes, %zu more came", w->path, name, e->size_bytes,
                       n - (e->size_bytes - e->given));
    if (!write_at(&w->outs[e->shard], p, n, e->at + e->given, err)) return false;
    e->given += n;
    return true;
}

static bool write_index(const lb_st_writer *w, lb_err *err)
{
    size_t total = 0;
    json_t *map = json_object(), *index = NULL;
    bool ok = map != NULL;
    for (size_t i = 0; ok && i < w->n; i++) {
        ok = json_object_set_new(map, w->e[i].name, json_string(w->files[w->e[i].shard])) == 0;
        total += w->e[i].size_bytes;
    }
    if (ok) index = json_pack("{s:{s:I},s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    char *path = lb_path_join(w->path, "model.safetensors.index.json", err);
    ok = index ? path && lb_json_save(path, index, err) : lb_fail_mem(err, w->n * 64, "the index");
    json_decref(map);
    json_decref(index);
    free(path);
    return ok;
}

bool lb_st_writer_commit(lb_st_writer *w, lb_err *err)
{
    if (!w->begun) return lb_fail(err, LB_EFAIL, "%s: nothing was begun", w->path);
    for (size_t i = 0; i < w->n; i++)
        if (w->e[i].given != w->e[i].size_bytes)
            return lb_fail(err, LB_EFAIL, "%s: tensor '%.200s' has %zu of its %zu bytes", w->path, w->e[i].name,
                           w->e[i].given, w->e[i].size_bytes);
    size_t done = 0;
    bool ok = true;
    for (; ok && done < w->n_shard; done += ok) ok = lb_out_commit(&w->outs[done], err);
    if (ok && w->n_shard > 1) ok = write_index(w, err);
    for (size_t i = 0; !ok && i < done; i++) { /* half of a model is not a model */
        char *path = w->folder ? lb_path_join(w->path, w->files[i], NULL) : strdup(w->path);
        if (path) unlink(path);
        free(path);
    }
    return ok;
}
