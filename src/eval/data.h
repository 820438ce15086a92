/* eval/data.h – which of the benchmarks' files are there, and whether they are the published ones. */
#ifndef LB_EVAL_DATA_H
#define LB_EVAL_DATA_H
#include "eval/bench.h"

typedef enum lb_data_state {
    LB_DATA_MISSING,             /* none of the names is there */
    LB_DATA_BROKEN,              /* cannot be read, or a row of it cannot */
    LB_DATA_FOUND
} lb_data_state;

/* One source of a benchmark. Release with lb_data_file_free. */
typedef struct lb_data_file {
    const lb_bench *bench;
    const lb_source *source;
    lb_data_state state;
    char *path;                  /* owned; NULL if missing */
    size_t size_bytes;
    char sha256[65];             /* hexadecimal; "" if missing */
    const char *known;           /* what has this hash; NULL: no published hash is known, or it is another */
    int n_row;                   /* rows read, or published ones of a file with a known hash; -1: not read */
    lb_err why;                  /* unless found */
} lb_data_file;

/* Looks at source number `i` of b below data_dir (or at data_dir itself, a file, where b has one source). check: reads
 * every row, and every test of programs. False only for want of memory and if data_dir is a file that b has no use for
 * (LB_EUSAGE); everything else is in *out. */
bool lb_data_look(const lb_bench *b, int i, const char *data_dir, bool check, lb_data_file *out, lb_err *err);
void lb_data_file_free(lb_data_file *f);

/* One file as an object: task, part, state, file, bytes, rows, rows_published, sha256, sha256_is, from, licence,
 * convert, error; keys that do not apply are left out. NULL for want of memory. */
json_t *lb_data_json(const lb_data_file *f);

/* SHA-256 of p [n] as 64 hexadecimal digits. */
bool lb_sha256(const void *p, size_t n, char out[65], lb_err *err);
#endif
