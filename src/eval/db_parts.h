/* eval/db_parts.h – what the files of the results database share. */
#ifndef LB_EVAL_DB_PARTS_H
#define LB_EVAL_DB_PARTS_H
#include "eval/db.h"
#include <sqlite3.h>

enum { LB_DB_FIND, LB_DB_PUT, LB_DB_GRADE, LB_DB_DELETE, LB_DB_N_SQL };

struct lb_db {
    sqlite3 *db;
    char *path;                          /* owned */
    sqlite3_stmt *st[LB_DB_N_SQL];       /* owned; NULL in a database that is only read */
    int rc;                              /* SQLite's code of the last failure */
    double t_sync;                       /* when a commit was last synced, by lb_now_s */
    bool full;                           /* commits are synced just now */
    int claims;                          /* descriptor of PATH-claims; −1 until it is needed */
    bool no_claims;                      /* the file system has no locks */
};

/* The columns of samples that lb_db_row reads, in its order; the text comes last, so that a row without it is read
 * without touching the text's pages. */
#define LB_DB_ROW "n_tokens, finish, think_closed, verdict, strict, lenient, grader, weak_sandbox, t_unix, extracted, why"
enum { LB_DB_ROW_N = 11 };
/* Fills *row (text: NULL) from the columns of st from `first` on. */
void lb_db_row(sqlite3_stmt *st, int first, lb_sample_row *row);
/* NULL, which only a hand-made file holds where text belongs, reads as "". */
const char *lb_db_text(sqlite3_stmt *st, int i);

/* The last failure of SQLite in words. */
bool lb_db_fail(lb_db *db, lb_err *err);
bool lb_db_exec(lb_db *db, const char *text, lb_err *err);
/* Takes an empty file, or checks that it is ours and brings it up to date, in one transaction. */
bool lb_db_schema_open(lb_db *db, lb_err *err);
#endif
