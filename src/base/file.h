/* base/file.h – files in and out: map for reading, write whole or not at all.
 *
 * Reading: only regular files are opened, without blocking, and sizes are known before anything is read. Writing: a
 * file under its final name is complete and on disk (temporary file, fsync, rename, fsync of the folder); a folder is
 * built beside its final name and renamed when it is whole. What a killed run leaves is called NAME.tmp-PID; the next
 * one that writes NAME removes it. */
#ifndef LB_BASE_FILE_H
#define LB_BASE_FILE_H
#include "base/err.h"
#include <stdio.h>

/* A read-only mapping of a whole file. Empty files map to size 0 and a valid pointer. */
typedef struct lb_map {
    const uint8_t *p;    /* owned; NULL when closed */
    size_t size;
} lb_map;

bool lb_map_open(lb_map *m, const char *path, lb_err *err);
void lb_map_close(lb_map *m);

/* The whole file as a NUL-terminated string; *size (optional) without the NUL. LB_EFORMAT above max_bytes. The caller
 * frees it. */
char *lb_file_read(const char *path, size_t max_bytes, size_t *size, lb_err *err);

bool lb_file_exists(const char *path);
bool lb_is_folder(const char *path);
bool lb_same_file(const char *a, const char *b);          /* same device and inode */
bool lb_mkdirs(const char *path, lb_err *err);            /* like mkdir -p */
/* Removes a folder with all that is in it, if it is there. Links are removed, never followed. */
void lb_remove_folder(const char *path);

/* "dir/name" in a new string; NULL with LB_ENOMEM. The caller frees it. */
char *lb_path_join(const char *dir, const char *name, lb_err *err);
/* True for a plain file name: not empty, no '/', no "..", no control characters, at most 255 bytes. */
bool lb_is_plain_name(const char *name);

/* A file being written. Everything goes to a temporary name in the same folder until lb_out_commit. The first error
 * sticks: further writes do nothing and commit reports it. */
typedef struct lb_out {
    int fd;              /* -1 when closed */
    char *path, *tmp;    /* owned */
    char *buf;           /* owned; write-behind buffer */
    size_t n_buf;
    uint64_t offset;     /* bytes given so far */
    int failed_errno;
} lb_out;

/* LB_EUSAGE for a folder and for a special file, which the rename would replace (/dev/null by a file, for everybody). */
bool lb_out_check(const char *path, lb_err *err);
bool lb_out_open(lb_out *o, const char *path, lb_err *err);           /* checks, too */
bool lb_out_write(lb_out *o, const void *p, size_t n, lb_err *err);
bool lb_out_commit(lb_out *o, lb_err *err);               /* fsync, rename, fsync folder; closes either way */
void lb_out_abort(lb_out *o); /* removes the temporary file; safe on a zeroed or closed one */
/* All of p [n] to fd, in as many calls as that takes; false with errno. */
bool lb_fd_write(int fd, const void *p, size_t n);
bool lb_write_file(const char *path, const void *p, size_t n, lb_err *err);
bool lb_file_copy(const char *from, const char *to, lb_err *err);     /* a regular file, byte for byte; `to` as above */

/* A folder being written: fill the folder lb_outdir.tmp, then commit renames it to `path`.
 * Fails if `path` exists and is not an empty folder. Abort removes everything written. */
typedef struct lb_outdir {
    char *path, *tmp;    /* owned */
    int fd;              /* of tmp, locked while it is written; -1 if it cannot be opened */
} lb_outdir;

bool lb_outdir_open(lb_outdir *d, const char *path, lb_err *err);
bool lb_outdir_commit(lb_outdir *d, lb_err *err);
void lb_outdir_abort(lb_outdir *d);
#endif
