/* study/pages_folder.c – writing pages beside the old ones, then changing places with them. */
#define _GNU_SOURCE /* syncfs, renameat2 */
#include "study/pages_folder.h"
#include "study/page.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

static bool has_mark(const char *dir)
{
    char path[1200], head[1024];
    snprintf(path, sizeof path, "%.1100s/index.html", dir);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head - 1, f) : 0;
    if (f) fclose(f);
    head[n] = 0;
    return strstr(head, LB_PAGE_MARK) != NULL;
}

/* Nothing there, an empty folder, or a report and nothing else. */
static bool may_replace(const char *path, lb_err *err)
{
    DIR *d = opendir(path);
    char other[256] = "";
    bool any = false;
    if (!d)
        return errno == ENOENT || lb_fail(err, LB_EUSAGE, "%s cannot become a folder of pages: %s; choose another -o",
                                          path, strerror(errno));
    for (const struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        any = true;
        bool ours = ends_with(e->d_name, ".html") || strcmp(e->d_name, "text") == 0 || strcmp(e->d_name, "plots") == 0;
        if (!ours)
            snprintf(other, sizeof other, "%.250s", e->d_name);
    }
    closedir(d);
    if (any && !*other && !has_mark(path)) snprintf(other, sizeof other, "pages of something else");
    return !*other || lb_fail(err, LB_EUSAGE,
                              "the folder %s exists already and holds %s; remove it or choose another -o", path, other);
}

bool lb_pages_folder_open(lb_pages_folder *f, const char *path, lb_err *err)
{
    memset(f, 0, sizeof *f);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    f->path = strndup(path, n);
    char *beside = f->path ? malloc(n + 5) : NULL;
    if (!beside) {
        free(f->path);
        return lb_fail_mem(err, n, "a path");
    }
    memcpy(beside, f->path, n);
    memcpy(beside + n, "-new", 5);
    bool ok = may_replace(f->path, err) && lb_outdir_open(&f->dir, beside, err);
    free(beside);
    if (!ok) free(f->path), f->path = NULL;
    return ok;
}

bool lb_pages_folder_put(lb_pages_folder *f, const char *name, const void *p, size_t n, lb_err *err)
{
    char path[1400];
    const char *slash = strchr(name, '/');
    if (slash) {
        snprintf(path, sizeof path, "%.1000s/%.*s", f->dir.tmp, (int)(slash - name), name);
        if (mkdir(path, 0777) != 0 && errno != EEXIST) return lb_fail_io(err, "cannot make the folder %s", path);
    }
    snprintf(path, sizeof path, "%.1000s/%.300s", f->dir.tmp, name);
    FILE *out = fopen(path, "wb");
    if (!out) return lb_fail_io(err, "cannot write %s", path);
    bool ok = fwrite(p, 1, n, out) == n;
    ok = fclose(out) == 0 && ok;
    f->n_file++;
    return ok || lb_fail_io(err, "cannot write %s", path);
}

static bool sync_all(const char *path, lb_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && syncfs(fd) == 0;
    if (!ok) lb_fail_io(err, "cannot write the pages in %s to disk", path);
    if (fd >= 0) close(fd);
    return ok;
}

/* The two folders change places in one step, where the file system can; dir.tmp is then the old one. */
static bool change_places(lb_pages_folder *f, lb_err *err)
{
    const char *tmp = f->dir.tmp, *aside = f->dir.path;
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, f->path, RENAME_EXCHANGE) == 0) return true;
    if (errno != ENOENT && rename(f->path, aside) != 0 && errno != ENOENT)
        return lb_fail_io(err, "cannot move %s out of the way", f->path);
    if (rename(tmp, f->path) != 0) return lb_fail_io(err, "cannot rename %s to %s", tmp, f->path);
    (void)rename(aside, tmp);
    return true;
}

bool lb_pages_folder_commit(lb_pages_folder *f, lb_err *err)
{
    bool ok = sync_all(f->dir.tmp, err) && may_replace(f->path, err) && change_places(f, err);
    lb_pages_folder_abort(f);
    return ok;
}

void lb_pages_folder_abort(lb_pages_folder *f)
{
    lb_outdir_abort(&f->dir);
    free(f->path);
    memset(f, 0, sizeof *f);
}
