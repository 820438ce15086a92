/* store/store.h – weight files: probe, map, list, read.
 *
 * A store is the tensors of a model, wherever they lie: a folder with model.safetensors, a folder with
 * model.safetensors.index.json and its shards, or one file. A file format is one row of stores.def. Files are mapped,
 * never copied, except tensors that do not lie at a multiple of their element size (no current writer makes those):
 * they are copied once, at open, so that `data` is always aligned to its element.
 *
 * Every header and size is checked against the file at open. What no check at open can see: a file that another program
 * truncates while it is mapped. The kernel then sends SIGBUS for the pages that are gone; a library does not install a
 * handler for it. lb_store_unchanged() asks the file system whether that has happened. */
#ifndef LB_STORE_STORE_H
#define LB_STORE_STORE_H
#include "base/err.h"
#include "base/hash.h"
#include "num/dtype.h"

enum { LB_MAX_RANK = 8 };

/* One tensor, row-major, little-endian; all pointers borrowed from the store. */
typedef struct lb_tensor {
    const char *name;
    lb_dtype dtype;
    int rank;
    int64_t shape[LB_MAX_RANK];
    const uint8_t *data;     /* never NULL, also when size_bytes is 0 */
    size_t size_bytes;       /* product of shape × lb_dtype_bytes(dtype) */
    const char *file;        /* path it was read from, for messages */
} lb_tensor;

typedef struct lb_store lb_store;      /* opaque; read-only once open, then safe to share between threads */

/* Opens a model folder or a single weight file; NULL with one message that names the file, the tensor or the byte.
 * Shards may be symbolic links (Hugging Face caches are made of them); their names in the index must be plain. */
lb_store *lb_store_open(const char *path, lb_err *err);
void lb_store_close(lb_store *s);                                    /* unmaps; NULL is fine */

size_t lb_store_count(const lb_store *s);
const lb_tensor *lb_store_at(const lb_store *s, size_t i);           /* sorted by name (bytes) */
const lb_tensor *lb_store_find(const lb_store *s, const char *name); /* NULL if there is none; O(log n) */
/* As find, but a missing tensor is LB_EFORMAT "PATH: there is no tensor 'NAME'". */
const lb_tensor *lb_store_need(const lb_store *s, const char *name, lb_err *err);
const char *lb_store_path(const lb_store *s);                        /* as given to open */
const char *lb_store_format_name(const lb_store *s);                 /* "safetensors" */

/* Identity of the weights: names, types, shapes and contents in order of name; the same for one file and for shards.
 * Reads everything (at memory or disk speed). */
lb_hash lb_store_hash(const lb_store *s);
/* LB_EIO if a file was replaced, truncated or written to since it was opened. */
bool lb_store_unchanged(const lb_store *s, lb_err *err);

/* Writes "[151936,1024]" to out and returns it: for messages. */
enum { LB_SHAPE_TEXT = 192 };
char *lb_shape_text(const int64_t *shape, int rank, char out[LB_SHAPE_TEXT]);
/* True if t has exactly this shape; else LB_EFORMAT "FILE: tensor 'NAME' is [..], WHO wants [..]". */
bool lb_tensor_check_shape(const lb_tensor *t, const int64_t *shape, int rank, const char *who, lb_err *err);
/* True if every element of an F32, F16, BF16 or F64 tensor is finite (other types always are); else *index (optional)
 * is the flat index of the first NaN or infinity. Runs at memory speed. */
bool lb_tensor_check_finite(const lb_tensor *t, size_t *index);
/* The same as an error: LB_ENUMERIC "FILE: tensor 'NAME' holds a NaN at [12,7]". */
bool lb_tensor_need_finite(const lb_tensor *t, lb_err *err);
#endif
