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

/* "0.1.0 (cpu: avx512, cuda: no)": version, instruction sets in this build, devices. Static storage. */
const char *lb_version(void);

#ifdef __cplusplus
}
#endif
#endif
