/* base/file.c – mapping, whole-file reads and atomic writes. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "base/file.h"
#include "base/buf.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_BUF = 1 << 20 };

/* O_NONBLOCK keeps a FIFO from blocking the open; the type is checked on the descriptor, so there is no race. */
static int open_regular(const char *path, size_t *size, lb_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        lb_fail_io(err, "cannot open %s", path);
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        lb_fail_io(err, "cannot stat %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        lb_fail(err, LB_EFORMAT, "%s is %s, not a regular file", path,
                S_ISDIR(st.st_mode) ? "a folder" : "a special file");
    } else {
        *size = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

bool lb_map_open(lb_map *m, const char *path, lb_err *err)
{
    memset(m, 0, sizeof *m);
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0) return false;
    void *p =
        mmap(NULL, size ? size : 1, PROT_READ, size ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS, size ? fd : -1, 0);
    int no = errno;
    close(fd);
    if (p == MAP_FAILED) {
        errno = no;
        return lb_fail_io(err, "cannot map %s (%zu bytes)", path, size);
    }
    m->p = p;
    m->size = size;
    return true;
}

void lb_map_close(lb_map *m)
{
    if (m->p) munmap((void *)m->p, m->size ? m->size : 1);
    memset(m, 0, sizeof *m);
}

static bool read_all(int fd, char *p, size_t n, const char *path, lb_err *err)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, p + at, n - at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return lb_fail_io(err, "cannot read %s", path);
        if (got == 0) return lb_fail(err, LB_EFORMAT, "%s shrank while it was read", path);
        at += (size_t)got;
    }
    return true;
}

char *lb_file_read(const char *path, size_t max_bytes, size_t *size, lb_err *err)
{
    size_t n;
    int fd = open_regular(path, &n, err);
    if (fd < 0) return NULL;
    char *p = NULL;
    if (n > max_bytes)
        lb_fail(err, LB_EFORMAT, "%s has %zu bytes, more than the %zu that lowbit reads of such a file", path, n,
                max_bytes);
    else if ((p = malloc(n + 1)) == NULL)
        lb_fail_mem(err, n + 1, path);
    else if (!read_all(fd, p, n, path, err)) {
        free(p);
        p = NULL;
    }
    close(fd);
    if (p) p[n] = 0;
    if (p && size) *size = n;
    return p;
}

bool lb_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool lb_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool lb_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool lb_mkdirs(const char *path, lb_err *err)
{
    size_t n = strlen(path);
    char *p = malloc(n + 1);
    if (!p) return lb_fail_mem(err, n + 1, "a path");
    memcpy(p, path, n + 1);
    bool ok = true;
    for (size_t i = 1; ok && i <= n; i++) {
        if (p[i] != '/' && p[i] != 0) continue;
        char c = p[i];
        p[i] = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST) ok = lb_fail_io(err, "cannot make the folder %s", p);
        p[i] = c;
    }
    free(p);
    if (ok && !lb_is_folder(path)) ok = lb_fail(err, LB_EIO, "%s exists and is not a folder", path);
    return ok;
}

char *lb_path_join(const char *dir, const char *name, lb_err *err)
{
    lb_buf b = {0};
    lb_buf_str(&b, dir);
    if (b.n && b.p[b.n - 1] != '/') lb_buf_byte(&b, '/');
    lb_buf_str(&b, name);
    return lb_buf_take(&b, "a path", err);
}

bool lb_is_plain_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 255 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || name[i] == '\\' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f) return false;
    return true;
}

/* ---- writing ---- */

/* ---- temporary names: PATH.tmp-PID, locked (flock) as long as somebody writes there ---- */

static char *temporary_name(const char *path, lb_err *err)
{
    lb_buf b = {0};
    lb_buf_fmt(&b, "%s.tmp-%ld", path, (long)getpid());
    return lb_buf_take(&b, "a path", err);
}

/* "a/b" of "a/b/c", "." of "c"; NULL without memory. */
static char *parent_of(const char *path, lb_err *err)
{
    lb_buf b = {0};
    const char *slash = strrchr(path, '/');
    if (!slash) lb_buf_str(&b, ".");
    else lb_buf_add(&b, path, slash == path ? 1 : (size_t)(slash - path));
    return lb_buf_take(&b, "a path", err);
}

void lb_remove_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0) close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char *p = lb_path_join(path, e->d_name, NULL);
        if (p && unlink(p) != 0) lb_remove_folder(p);
        free(p);
    }
    closedir(d);
    rmdir(path);
}

/* Whether `name` is BASE.tmp-PID of a process that does not run any more. */
static bool is_of_dead_process(const char *name, const char *base)
{
    size_t n = strlen(base);
    if (strncmp(name, base, n) != 0 || strncmp(name + n, ".tmp-", 5) != 0) return false;
    const char *digits = name + n + 5;
    size_t n_digit = strspn(digits, "0123456789");
    if (n_digit == 0 || n_digit > 9 || digits[n_digit]) return false;
    long pid = strtol(digits, NULL, 10);
    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Removes a file or folder that nobody has locked. */
static void remove_unlocked(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode)) lb_remove_folder(path);
        else if (S_ISREG(st.st_mode)) unlink(path);
    }
    close(fd);
}

/* Removes what runs that were killed left beside `path`. The lock tells a dead process from one that runs in another
 * container and shares the folder; where locks cannot be had, everything stays. */
static void remove_leftovers(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *dir = *base ? parent_of(path, NULL) : NULL;
    DIR *d = dir ? opendir(dir) : NULL;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char *p = is_of_dead_process(e->d_name, base) ? lb_path_join(dir, e->d_name, NULL) : NULL;
        if (p) remove_unlocked(p);
        free(p);
    }
    if (d) closedir(d);
    free(dir);
}

static bool out_fail(lb_out *o, lb_err *err)
{
    errno = o->failed_errno;
    return lb_fail_io(err, "cannot write %s", o->path);
}

bool lb_out_check(const char *path, lb_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode)) return true;
    return lb_fail(err, LB_EUSAGE, "%s is a %s; an output is a regular file", path,
                   S_ISDIR(st.st_mode) ? "folder" : "special file");
}

bool lb_out_open(lb_out *o, const char *path, lb_err *err)
{
    memset(o, 0, sizeof *o);
    o->fd = -1;
    if (!lb_out_check(path, err)) return false;
    remove_leftovers(path);
    o->tmp = temporary_name(path, err);
    o->path = strdup(path);
    o->buf = malloc(OUT_BUF);
    if (!o->tmp || !o->path || !o->buf) {
        lb_out_abort(o);
        return lb_fail_mem(err, OUT_BUF, path);
    }
    o->fd = open(o->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (o->fd >= 0) {
        (void)flock(o->fd, LOCK_EX | LOCK_NB);
        return true;
    }
    lb_fail_io(err, "cannot write %s", path);
    lb_out_abort(o);
    return false;
}

bool lb_fd_write(int fd, const void *p, size_t n)
{
    for (const char *at = p; n;) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        at += done, n -= (size_t)done;
    }
    return true;
}

static bool out_flush(lb_out *o, const char *p, size_t n)
{
    if (!o->failed_errno && !lb_fd_write(o->fd, p, n)) o->failed_errno = errno;
    return !o->failed_errno;
}

bool lb_out_write(lb_out *o, const void *p, size_t n, lb_err *err)
{
    if (o->failed_errno) return out_fail(o, err);
    if (n > OUT_BUF - o->n_buf) {
        bool ok = out_flush(o, o->buf, o->n_buf);
        o->n_buf = 0;
        if (!ok || (n >= OUT_BUF && !out_flush(o, p, n))) return out_fail(o, err);
        if (n >= OUT_BUF) {
            o->offset += n;
            return true;
        }
    }
    if (n) memcpy(o->buf + o->n_buf, p, n);
    o->n_buf += n;
    o->offset += n;
    return true;
}

static bool sync_parent(const char *path, lb_err *err)
{
    char *dir = parent_of(path, err);
    if (!dir) return false;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    if (!ok) lb_fail_io(err, "cannot sync the folder %s", dir);
    if (fd >= 0) close(fd);
    free(dir);
    return ok;
}

static void out_free(lb_out *o)
{
    free(o->path);
    free(o->tmp);
    free(o->buf);
    memset(o, 0, sizeof *o);
    o->fd = -1;
}

bool lb_out_commit(lb_out *o, lb_err *err)
{
    bool ok = out_flush(o, o->buf, o->n_buf);
    if (ok && fsync(o->fd) != 0) o->failed_errno = errno;
    if (close(o->fd) != 0 && !o->failed_errno) o->failed_errno = errno;
    o->fd = -1;
    if (!o->failed_errno && rename(o->tmp, o->path) != 0) o->failed_errno = errno;
    if (o->failed_errno) {
        out_fail(o, err);
        lb_out_abort(o);
        return false;
    }
    ok = sync_parent(o->path, err);
    out_free(o);
    return ok;
}

void lb_out_abort(lb_out *o)
{
    if (!o->tmp && !o->path && !o->buf) return;
    if (o->fd >= 0) close(o->fd);
    if (o->tmp) unlink(o->tmp);
    out_free(o);
}

bool lb_write_file(const char *path, const void *p, size_t n, lb_err *err)
{
    lb_out o;
    if (!lb_out_open(&o, path, err)) return false;
    if (!lb_out_write(&o, p, n, err)) {
        lb_out_abort(&o);
        return false;
    }
    return lb_out_commit(&o, err);
}

bool lb_file_copy(const char *from, const char *to, lb_err *err)
{
    lb_map m;
    if (!lb_map_open(&m, from, err)) return false;
    bool ok = lb_write_file(to, m.p, m.size, err);
    lb_map_close(&m);
    return ok;
}

/* ---- folders ---- */

static bool folder_is_empty(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return false;
    bool empty = true;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) empty = false;
    closedir(d);
    return empty;
}

bool lb_outdir_open(lb_outdir *d, const char *path, lb_err *err)
{
    memset(d, 0, sizeof *d);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    d->path = strndup(path, n);
    if (!d->path) return lb_fail_mem(err, n, "a path");
    if (lb_file_exists(d->path) && !folder_is_empty(d->path)) {
        lb_fail(err, LB_EUSAGE,
                "the output %s exists already and is not an empty folder; remove it or choose another -o", d->path);
        goto fail;
    }
    char *parent = parent_of(d->path, err);
    bool ok = parent && lb_mkdirs(parent, err);
    free(parent);
    if (!ok) goto fail;
    remove_leftovers(d->path);
    d->tmp = temporary_name(d->path, err);
    if (!d->tmp) goto fail;
    remove_unlocked(d->tmp); /* of a process that had this number */
    if (mkdir(d->tmp, 0777) == 0) {
        d->fd = open(d->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (d->fd >= 0) (void)flock(d->fd, LOCK_EX | LOCK_NB);
        return true;
    }
    lb_fail_io(err, "cannot make the output folder %s", d->path);
fail:
    free(d->path);
    free(d->tmp);
    memset(d, 0, sizeof *d);
    return false;
}

bool lb_outdir_commit(lb_outdir *d, lb_err *err)
{
    bool ok = rename(d->tmp, d->path) == 0;
    if (!ok) lb_fail_io(err, "cannot rename %s to %s", d->tmp, d->path);
    if (ok) ok = sync_parent(d->path, err);
    lb_outdir_abort(d);
    return ok;
}

void lb_outdir_abort(lb_outdir *d)
{
    if (d->tmp) lb_remove_folder(d->tmp);
    if (d->tmp && d->fd >= 0) close(d->fd);
    free(d->path);
    free(d->tmp);
    memset(d, 0, sizeof *d);
}
