/* pickle.c – fuzz target: what is taken as a pickle is one string with its opcodes around it. */
#include "eval/pickle.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    lb_err e = {0};
    const char *s = NULL;
    size_t n = 0;
    if (!lb_pickle_str(data, size, &s, &n, &e)) {
        if (e.code != LB_EFORMAT || strncmp(e.msg, "pickle: ", 8) != 0) abort();
        return 0;
    }
    size_t at = (size_t)(s - (const char *)data);
    if (s < (const char *)data || at > size || n >= size - at) abort();         /* a STOP follows */
    if (data[size - 1] != '.') abort();
    volatile unsigned sum = 0;                          /* every byte can be read */
    for (size_t i = 0; i < n; i++) sum = sum + (unsigned char)s[i];
    /* It stays what it is in the plainest pickle. */
    unsigned char *again = malloc(n + 6);
    if (!again || n > UINT32_MAX) abort();
    again[0] = 'X';
    for (int i = 0; i < 4; i++) again[1 + i] = (unsigned char)(n >> (8 * i));
    memcpy(again + 5, s, n);
    again[5 + n] = '.';
    const char *t;
    size_t m;
    if (!lb_pickle_str(again, n + 6, &t, &m, &e) || m != n || memcmp(s, t, n)) abort();
    free(again);
    return 0;
}
#include "fuzz/replay.inc"
