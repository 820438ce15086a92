/* quant/parts.h – the tensors that one finished layer consists of, in memory until they are written to one file. */
#ifndef LB_QUANT_PARTS_H
#define LB_QUANT_PARTS_H
#include "num/fp4.h"
#include "store/ct_config.h"

typedef struct lb_part_tensor {
    char *name;                  /* owned */
    lb_dtype dtype;
    int rank;
    int64_t shape[2];
    void *data;                  /* owned */
    size_t size_bytes;
} lb_part_tensor;

typedef struct lb_parts {        /* {0}: empty */
    lb_part_tensor *p;
    size_t n, cap;
} lb_parts;

/* A tensor of f32 values [shape], stored as dtype (F32, BF16 or F16, rounded to nearest even). LB_ENUMERIC if a value is not
 * finite, or not any more in that type. */
bool lb_parts_float(lb_parts *p, const char *name, lb_dtype dtype, int rank, const int64_t *shape, const float *v,
                    lb_err *err);
/* The tensors of a packed weight (store/ct.h) of module `name`; *bytes (optional) grows by what they take. */
bool lb_parts_qmat(lb_parts *p, const char *module, const lb_qmat *q, const lb_ct_scheme *s, double *bytes, lb_err *err);
bool lb_parts_fp4(lb_parts *p, const char *module, const lb_fp4mat *q, const lb_ct_scheme *s, double *bytes, lb_err *err);
/* All of them in one safetensors file, which appears whole or not at all. */
bool lb_parts_write(const lb_parts *p, const char *path, lb_err *err);
void lb_parts_free(lb_parts *p);
#endif
