/* store/st_header.h – the header of a safetensors file: parsed and checked whole, in memory.
 *
 * The rules are those of the reference implementation (huggingface/safetensors, tensor.rs), and stricter where it is
 * silent: duplicate keys, unknown keys, control characters in names and ranks above LB_MAX_RANK are errors. */
#ifndef LB_STORE_ST_HEADER_H
#define LB_STORE_ST_HEADER_H
#include "store/store.h"

#define LB_ST_MAX_HEADER ((size_t)100000000)     /* bytes; the reference's own limit */
enum { LB_ST_MAX_TENSORS = 1000000, LB_ST_MAX_NAME = 4096 };

typedef struct lb_st_header {
    lb_tensor *t;            /* owned, sorted by name; data points into the bytes parsed */
    size_t n;
    char *names;             /* owned; all names, NUL-terminated */
    size_t data_at;          /* where tensor bytes begin */
} lb_st_header;

/* Parses the whole file p[0…n). `file` names it in messages and is borrowed by the tensors. False with LB_EFORMAT (or
 * LB_EUNSUPPORTED for a data type that lowbit does not have); *h is then zeroed. Time and memory are linear in the
 * header (n log n if it is not sorted). */
bool lb_st_parse_header(const uint8_t *p, size_t n, const char *file, lb_st_header *h, lb_err *err);
void lb_st_header_free(lb_st_header *h);
#endif
