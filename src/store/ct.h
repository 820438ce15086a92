/* store/ct.h – one weight in the pack-quantized layout of compressed-tensors, to and from lb_qmat.
 *
 * A linear layer P with weight W[n,k] is stored as
 *
 *     P.weight_packed      I32 [n, ceil(k·b/32)]   codes of a row, one stream of b-bit numbers in little-endian words
 *     P.weight_scale       [n, G] BF16, F16 or F32
 *     P.weight_zero_point  I32 [ceil(n·b/32), G]   asymmetric only; packed the same way down the rows
 *     P.weight_shape       I64 [2] = (n, k)
 *
 * With half-integer zero points (LB_CT_HALF, 2 bits):
 *
 *     P.weight_zero_point  [n, G] F8_E4M3, BF16, F16 or F32; written as F8_E4M3
 *
 * The file's numbers are signed, w = s·(q − z), and stored with 2^(b−1) added: exactly lb_qmat's codes and zeros; floats
 * are not stored so: −2, −1½ … 1, of which 1½ among lb_qmat's codes is −½. Older
 * writers did not let 3-bit numbers cross a word (10 per word); both are read, told apart by the number of words. For
 * small k both have the same number; then the zero points decide, or it is the stream.
 *
 * Loading: lb_ct_unpack, then lb_tile_pack (num/tile.h). */
#ifndef LB_STORE_CT_H
#define LB_STORE_CT_H
#include "num/tile.h"
#include "store/ct_config.h"
#include "store/safetensors.h"
#include "store/store.h"

/* Reads module P of a store into *q, whose arrays it allocates (lb_qmat_free). n and k are what config.json says; every
 * shape is checked against them. False with LB_EFORMAT, LB_EUNSUPPORTED (g_idx; a group that lowbit's tiles cannot
 * hold: they want a multiple of 32 or the whole row; a float zero point that is no half of a whole number among the
 * codes), LB_ENUMERIC (a scale is NaN or infinite) or LB_ENOMEM. */
bool lb_ct_unpack(const lb_store *s, const char *module, const lb_ct_scheme *sch, int n, int k, lb_qmat *q,
                  lb_err *err);

/* The same from the tensors themselves; zero is NULL if there is none. */
typedef struct lb_ct_tensors {
    const lb_tensor *packed, *scale, *zero, *shape;
} lb_ct_tensors;
bool lb_ct_unpack_tensors(const lb_ct_tensors *t, const lb_ct_scheme *sch, int n, int k, lb_qmat *q, lb_err *err);

/* What a weight is stored as: for declaring before writing. */
enum { LB_CT_MAX_PARTS = 4 };
typedef struct lb_ct_part {
    const char *suffix;      /* "weight_packed"; the tensor is module + "." + suffix */
    lb_dtype dtype;
    int rank;
    int64_t shape[2];
    size_t size_bytes;
} lb_ct_part;
/* Fills out[] and returns how many parts there are. n and k are positive. */
int lb_ct_parts(const lb_ct_scheme *sch, int n, int k, lb_dtype scale_type, lb_ct_part out[LB_CT_MAX_PARTS]);
/* Writes the bytes of part i (size_bytes of them) to out. LB_EFAIL if q is not what the scheme says: another width or
 * group, a zero point where none is stored, a scale that its type cannot hold exactly. */
bool lb_ct_pack(const lb_qmat *q, const lb_ct_scheme *sch, int i, uint8_t *out, lb_err *err);

/* All parts of a module, declared and later written. */
bool lb_ct_declare(lb_st_writer *w, const char *module, const lb_ct_scheme *sch, int n, int k, lb_dtype scale_type,
                   lb_err *err);
bool lb_ct_write(lb_st_writer *w, const char *module, const lb_ct_scheme *sch, const lb_qmat *q, lb_err *err);
#endif
