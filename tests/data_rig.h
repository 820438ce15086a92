/* data_rig.h – a folder of its own for a test program, and files in it. */
#ifndef LB_DATA_RIG_H
#define LB_DATA_RIG_H
#include "test.h"
#include "base/file.h"
#include <unistd.h>

static char dir[] = "/tmp/lowbit-test-XXXXXX";

static inline int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_dir(void **state)
{
    (void)state;
    lb_remove_folder(dir);
    return 0;
}

/* "a/b.jsonl": folders are made as needed. */
static inline void write_text(const char *name, const char *text)
{
    lb_err e = {0};
    char *path = lb_path_join(dir, name, &e), *slash = strrchr(path, '/');
    *slash = 0;
    assert_ok(lb_mkdirs(path, &e), e);
    *slash = '/';
    assert_ok(lb_write_file(path, text, strlen(text), &e), e);
    free(path);
}
#endif
