/* sandbox_cgroup.c – finding a place in the hierarchy, and the files of one group. */
#define _GNU_SOURCE
#include "eval/sandbox_cgroup.h"
#include "base/buf.h"
#include "base/file.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char prefix[] = "lowbit-sandbox-";

/* ---- small files ---- */

/* A file of a cgroup or of /proc, whole; its size is not known before. NULL if it cannot be read. */
static char *read_text(const char *folder, const char *name)
{
    char path[4352], piece[4096];
    lb_buf b = { 0 };
    ssize_t n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    while ((n = read(fd, piece, sizeof piece)) > 0) lb_buf_add(&b, piece, (size_t)n);
    close(fd);
    if (n == 0) lb_buf_byte(&b, 0);
    if (n < 0 || b.oom) lb_buf_free(&b);
    return b.p;
}

static bool write_text(const char *folder, const char *name, const char *text)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)); p += n)
        if ((p == text || isspace((unsigned char)p[-1])) && (!p[n] || isspace((unsigned char)p[n]))) return true;
    return false;
}

/* ---- the place ---- */

/* Space and backslash are written \040 and \134 in mountinfo. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
            *to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

/* The mount point of the version 2 hierarchy and the part of it that is mounted there. */
static bool find_mount(const char *mounts, char root[4096], char point[4096])
{
    for (const char *line = mounts; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        int n = (int)strcspn(line, "\n");
        const char *dash = memmem(line, (size_t)n, " - cgroup2 ", 11);
        if (!dash || sscanf(line, "%*d %*d %*s %4095s %4095s", root, point) != 2) continue;
        unescape(root);
        unescape(point);
        return true;
    }
    return false;
}

/* Whether groups can be made below it with both controllers: one is made, and removed. */
static bool is_usable(const char *folder)
{
    char path[4300];
    char *on = read_text(folder, "cgroup.subtree_control");
    bool ok = on && has_word(on, "memory") && has_word(on, "pids");
    free(on);
    snprintf(path, sizeof path, "%s/%strial-%ld", folder, prefix, (long)getpid());
    if (!ok || mkdir(path, 0755) != 0) return false;
    char *max = read_text(path, "memory.max");
    ok = max != NULL;
    free(max);
    rmdir(path);
    return ok;
}

/* Groups of processes that are gone. One that still has a process in it cannot be removed. */
static void sweep(const char *folder)
{
    char path[4352];
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        long pid;
        if (strncmp(e->d_name, prefix, sizeof prefix - 1) != 0) continue;
        if (sscanf(e->d_name + sizeof prefix - 1, "%ld-", &pid) != 1 || pid <= 0) continue;
        if (kill((pid_t)pid, 0) == 0 || errno != ESRCH) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        rmdir(path);
    }
    if (d) closedir(d);
}

char *lb_cgroup_find(const char *self, const char *mounts)
{
    char root[4096], point[4096], place[8200];
    const char *line = strncmp(self, "0::", 3) == 0 ? self : strstr(self, "\n0::");
    if (!line || !find_mount(mounts, root, point)) return NULL;
    const char *own = line + (*line == '\n') + 3;
    size_t n_own = strcspn(own, "\n"), n_root = strcmp(root, "/") ? strlen(root) : 0;
    if (n_own < n_root || memcmp(own, root, n_root) != 0 || (n_root && n_own > n_root && own[n_root] != '/')) return NULL;
    int n = snprintf(place, sizeof place, "%s%.*s", point, (int)(n_own - n_root), own + n_root);
    if (n < 0 || n >= 4200) return NULL;
    while (n > 1 && place[n - 1] == '/') place[--n] = 0;
    for (int up = 0; up < 2; up++) {
        if (is_usable(place)) {
            sweep(place);
            return strdup(place);
        }
        char *slash = strrchr(place, '/');
        if (!slash || (size_t)(slash - place) < strlen(point)) return NULL;
        *slash = 0;
    }
    return NULL;
}

char *lb_cgroup_find_own(void)
{
    char *self = read_text("/proc/self", "cgroup"), *mounts = read_text("/proc/self", "mountinfo");
    char *place = self && mounts ? lb_cgroup_find(self, mounts) : NULL;
    free(self);
    free(mounts);
    return place;
}

/* ---- one group ---- */

bool lb_cgroup_open(lb_cgroup *g, const char *parent, int n_task, lb_err *err)
{
    static atomic_uint count;
    char name[64], limit[32];
    *g = (lb_cgroup){ NULL, -1 };
    if (!parent) return true;
    snprintf(name, sizeof name, "%s%ld-%u", prefix, (long)getpid(), atomic_fetch_add(&count, 1));
    if (!(g->path = lb_path_join(parent, name, err))) return false;
    if (mkdir(g->path, 0755) != 0) {
        lb_fail_io(err, "sandbox: cannot make the cgroup %.300s", g->path);
        free(g->path);
        g->path = NULL;
        return false;
    }
    char *procs = lb_path_join(g->path, "cgroup.procs", err);
    snprintf(limit, sizeof limit, "%d", n_task);
    bool ok = procs && write_text(g->path, "pids.max", limit) && write_text(g->path, "memory.oom.group", "1") &&
              (g->procs = open(procs, O_WRONLY | O_CLOEXEC)) >= 0;
    (void)write_text(g->path, "memory.swap.max", "0");               /* not there without swap accounting */
    free(procs);
    if (ok) return true;
    lb_fail_io(err, "sandbox: cannot set the limits of the cgroup %.300s", g->path);
    lb_cgroup_close(g);
    return false;
}

bool lb_cgroup_set_memory(const lb_cgroup *g, size_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%zu", bytes);
    return g->path && write_text(g->path, "memory.max", text);
}

bool lb_cgroup_ran_out(const lb_cgroup *g)
{
    char *events = g->path ? read_text(g->path, "memory.events") : NULL;
    const char *kills = events ? strstr(events, "\noom_kill ") : NULL;
    bool out = kills && atol(kills + 10) > 0;
    free(events);
    return out;
}

void lb_cgroup_close(lb_cgroup *g)
{
    if (g->procs >= 0) close(g->procs);
    if (g->path) {
        (void)write_text(g->path, "cgroup.kill", "1");               /* Linux 5.14; before, bwrap's death does it */
        for (int i = 0; i < 500 && rmdir(g->path) != 0 && errno == EBUSY; i++)
            nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
        free(g->path);
    }
    *g = (lb_cgroup){ NULL, -1 };
}
