/* store/format.h – what a weight file format brings (one row of stores.def), and the inside of a store.
 *
 * Only the formats of store/ include this. A format opens a path into a store: maps files with lb_store_map and leaves
 * the sorted tensor table in s->t. */
#ifndef LB_STORE_FORMAT_H
#define LB_STORE_FORMAT_H
#include "base/file.h"
#include "store/store.h"
#include <sys/types.h>
#include <time.h>

typedef struct lb_store_file {
    char *path;              /* owned */
    lb_map map;              /* owned */
    dev_t dev;               /* what the file system said at open */
    ino_t ino;
    struct timespec mtime;
} lb_store_file;

typedef struct lb_store_format {
    const char *name;
    const char *wants;       /* for the message when nothing fits: "model.safetensors, …" */
    bool (*probe)(const char *path);
    bool (*open)(lb_store *s, const char *path, lb_err *err);    /* on failure the caller closes s */
} lb_store_format;

extern const lb_store_format *const lb_store_formats[];          /* NULL-terminated */

struct lb_store {
    const lb_store_format *format;
    char *path;              /* owned */
    lb_store_file *files;    /* owned, cap_file of them reserved before any tensor borrows a path */
    size_t n_file, cap_file;
    char **names;            /* owned blocks that hold the tensor names, one per file */
    lb_tensor *t;            /* owned, sorted by name */
    size_t n, cap;
    void *copies;            /* owned; tensors that had to be moved to an aligned place, or NULL */
};

/* Reserves room for n files (call once), then maps them one by one. The returned file stays where it is. */
bool lb_store_reserve(lb_store *s, size_t n_file, lb_err *err);
lb_store_file *lb_store_map(lb_store *s, const char *path, lb_err *err);
#endif
