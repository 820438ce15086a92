/* train/ckpt.h – the state of a training run in one file, which appears whole or not at all.
 *
 * A safetensors file with the arrays (weights, moments) as F32 and "state", the bytes of a JSON text with everything
 * else. What was saved is read back to the bit. */
#ifndef LB_TRAIN_CKPT_H
#define LB_TRAIN_CKPT_H
#include "base/json.h"
#include <stddef.h>

typedef struct lb_ckpt_array {
    char name[96];
    float *v;                        /* [n] host memory, borrowed */
    size_t n;
} lb_ckpt_array;

/* Writes, syncs, renames: what was under `path` before stays until then, also when the disk is full. */
bool lb_ckpt_save(const char *path, const lb_ckpt_array *a, size_t n, const json_t *state, lb_err *err);
/* The state alone: a new reference, or NULL. */
json_t *lb_ckpt_state(const char *path, lb_err *err);
/* Fills the arrays. LB_EFORMAT naming the first that the file lacks or has in another size; nothing was changed then. */
bool lb_ckpt_load(const char *path, const lb_ckpt_array *a, size_t n, lb_err *err);
#endif
