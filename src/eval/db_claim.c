/* eval/db_claim.c – one sample, one process: locks on bytes of a file beside the database.
 *
 * Open file description locks (Linux): they belong to the lb_db that took them, not to the process, and the kernel drops
 * them when it dies. The database itself cannot be locked so: SQLite has POSIX locks on it, which closing any other
 * descriptor of the file would drop. The file stays, empty. */
#define _GNU_SOURCE
#include "eval/db_parts.h"
#include "base/err.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the key's byte is. Two keys that meet there are not made at the same time: no harm. */
static off_t byte_of(const lb_sample_key *k)
{
    int64_t v[3] = {k->version, k->seed, k->sample};
    lb_hash h = lb_hash_of(k->model, strlen(k->model) + 1);
    h = lb_hash_bytes(k->task, strlen(k->task) + 1, h);
    h = lb_hash_bytes(k->sampling, strlen(k->sampling) + 1, h);
    h = lb_hash_bytes(&k->item, sizeof k->item, h);
    h = lb_hash_bytes(&k->prompt, sizeof k->prompt, h);
    h = lb_hash_bytes(v, sizeof v, h);
    return (off_t)(h.lo >> 2);
}

static bool open_claims(lb_db *db, lb_err *err)
{
    if (db->claims >= 0) return true;
    size_t n = strlen(db->path);
    char *path = malloc(n + sizeof "-claims");
    if (!path) return lb_fail_mem(err, n, "a path");
    memcpy(path, db->path, n);
    memcpy(path + n, "-claims", sizeof "-claims");
    db->claims = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    bool ok = db->claims >= 0 || lb_fail_io(err, "%s: cannot share the work through it", path);
    free(path);
    return ok;
}

bool lb_db_claim(lb_db *db, const lb_sample_key *k, bool *mine, lb_err *err)
{
    *mine = true;
    if (db->no_claims) return true;
    if (!open_claims(db, err)) return false;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte_of(k), .l_len = 1};
    if (fcntl(db->claims, F_OFD_SETLK, &lock) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) *mine = false;
    else db->no_claims = true; /* ENOLCK, EINVAL, EOPNOTSUPP: then nobody can */
    return true;
}

void lb_db_release(lb_db *db, const lb_sample_key *k)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = byte_of(k), .l_len = 1};
    if (db->claims >= 0 && !db->no_claims) fcntl(db->claims, F_OFD_SETLK, &lock);
}
