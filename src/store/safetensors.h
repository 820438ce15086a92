/* store/safetensors.h – writing safetensors files: one file, or shards with an index.
 *
 * Declare every tensor, begin, then give the bytes in any order and in any pieces: each has its place in the file from
 * the start, so nothing is held in memory. Files have temporary names until commit, the index comes last. The bytes
 * written depend only on the tensors and the order of declaration: shards are filled in that order, as Hugging Face
 * does; inside a file larger elements come first, then names in byte order, as the reference writer does: the same
 * bytes as its own. */
#ifndef LB_STORE_SAFETENSORS_H
#define LB_STORE_SAFETENSORS_H
#include "store/store.h"

#define LB_ST_SHARD_BYTES ((size_t)5000000000)   /* Hugging Face's default */

typedef struct lb_st_writer lb_st_writer;        /* opaque; one thread at a time */

/* `path` is an existing folder, which gets model.safetensors or model-0000i-of-0000n.safetensors with their index, or
 * one file name that ends in ".safetensors" (never sharded). shard_bytes 0 means LB_ST_SHARD_BYTES. */
lb_st_writer *lb_st_writer_open(const char *path, size_t shard_bytes, lb_err *err);
/* name and shape are copied. LB_EFAIL for a name that a reader would refuse, or a shape that overflows. */
bool lb_st_writer_declare(lb_st_writer *w, const char *name, lb_dtype dtype, int rank, const int64_t *shape,
                          lb_err *err);
/* Ends the declarations: writes the headers and reserves the disk space, so that a full disk shows now and not hours
 * later. */
bool lb_st_writer_begin(lb_st_writer *w, lb_err *err);
/* The next n bytes of a tensor; the pieces of one tensor come in order, those of different tensors as you like. */
bool lb_st_writer_put(lb_st_writer *w, const char *name, const void *p, size_t n, lb_err *err);
/* Checks that every tensor is complete, syncs, renames; false leaves no file behind that was not there before. */
bool lb_st_writer_commit(lb_st_writer *w, lb_err *err);
void lb_st_writer_close(lb_st_writer *w);        /* removes what was not committed; NULL is fine */

size_t lb_st_writer_n_shard(const lb_st_writer *w);                  /* after begin */
#endif
