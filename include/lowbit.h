/* lowbit.h – the public C API: load a reasoning model, make it small, run it.
 *
 * Opaque types, no internals. Every call that can fail returns bool (or a pointer, NULL on failure) and takes an
 * lb_err last; the error says what was found, what was wanted and what to try. No call prints, exits or aborts.
 * Thread rule: an object belongs to one thread at a time; different objects are independent. */
#ifndef LOWBIT_H
#define LOWBIT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LB_VERSION "0.1.0"

/* Kinds of failure. The command line exits with lb_exit_status(code). */
typedef enum lb_code {
    LB_OK = 0,
    LB_EFAIL,        /* anything without a kind of its own                       exit 1 */
    LB_EUSAGE,       /* wrong arguments from the caller                          exit 2 */
    LB_EFORMAT,      /* a file or model is malformed or contradicts itself       exit 3 */
    LB_EUNSUPPORTED, /* well-formed, but asks for what lowbit does not do        exit 3 */
    LB_ENOMEM,       /* memory ran out, or would                                 exit 4 */
    LB_EVERIFY,      /* what was written is not what was meant                   exit 5 */
    LB_EGATE,        /* a result is below the gate the user set                  exit 6 */
    LB_EIO,          /* reading or writing failed (missing, full, forbidden)     exit 1 */
    LB_ENUMERIC,     /* a NaN or infinity where there must be none               exit 1 */
    LB_EDEVICE,      /* a GPU is absent or failed                                exit 1 */
    LB_ESTOPPED      /* stopped on request; finished work is kept                exit 75 */
} lb_code;

/* One failure. Zero it before the first call; msg is NUL-terminated UTF-8 in one line. */
typedef struct lb_err {
    lb_code code;
    char msg[1024];
} lb_err;

int lb_exit_status(lb_code code);

/* "lowbit 0.1.0 (a1b2c3d; cpu: avx512; cuda: no; mpi: no)". Static storage. */
const char *lb_version(void);

/* ---- a model that answers ---- */

typedef struct lb_lm lb_lm;          /* a model with its tokenizer and chat template, on a device */

typedef struct lb_lm_opt {           /* zero means default in every field */
    const char *device;              /* "cpu" (default), "cuda", "cuda:1" */
    const char *isa;                 /* highest CPU level: "ref", "avx2", "avx512", "avx512bf16" */
    int n_thread;                    /* default: all processors */
    int n_ctx;                       /* longest prompt + answer in tokens; default: the model's */
    const char *kv;                  /* KV cache format: "bf16", "f32"; default: as the model */
} lb_lm_opt;

typedef struct lb_lm_gen {
    const char *system;              /* a system turn, or NULL */
    bool own_sampling;               /* use the four fields below instead of the model's generation_config.json */
    float temperature, top_p, min_p; /* temperature 0: greedy */
    int top_k;                       /* 0: off; likewise top_p 0 */
    uint64_t seed;                   /* same prompt, same seed, same text */
    int max_new;                     /* most tokens; 0: up to the context */
} lb_lm_gen;

/* Opens a Hugging Face folder: 16-bit, or quantized by lowbit or in a compressed-tensors layout. NULL on failure. */
lb_lm *lb_lm_open(const char *dir, const lb_lm_opt *opt, lb_err *err);
void lb_lm_close(lb_lm *lm);         /* NULL is fine */

/* Answers one user turn. on_text (may be NULL) gets the answer as it grows, in pieces of whole UTF-8 characters; false
 * from it ends the answer early. The whole answer is returned, NUL-terminated; the caller frees it. NULL on failure. */
char *lb_lm_answer(lb_lm *lm, const char *user, const lb_lm_gen *gen,
                   bool (*on_text)(void *arg, const char *piece, size_t n), void *arg, lb_err *err);

/* How to quantize; NULL or 0 means default. */
typedef struct lb_quantize_how {
    const char *scheme;              /* "w3g128", "w4a4kv4", "mxfp4" …; there is no default */
    const char *method;              /* "gptq", "smoothquant+gptq" …: a chain (default "rtn") */
    const char *kv;                  /* KV cache format of the output: "kv4-quarot" … (default: the scheme's bits, per token) */
    const char *calib;               /* calibration text, for methods that need one: traces, JSON lines, a text file */
    int nsamples, seqlen;            /* windows of it and tokens of each (128, 2048) */
} lb_quantize_how;
/* Quantizes a model folder into a new one, which appears whole or not at all; finished layers of a run that was killed stay
 * in out_dir.partial, and the same call goes on behind them. */
bool lb_quantize_folder(const char *dir, const char *out_dir, const lb_quantize_how *how, lb_err *err);

#ifdef __cplusplus
}
#endif
#endif
