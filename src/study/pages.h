/* study/pages.h – the evaluation pages: what every model answered to every problem, and how it was graded.
 *
 * A folder of HTML files that refer to each other and to nothing else: an index, one page a task with the matrix of
 * problems × models, pages of problems with every answer, and one of answers whose readings differ (eval/grade.h). Texts
 * come from models and files that nobody vouches for: they are escaped, cut where they are long (the whole text is a
 * file beside), and nothing in them becomes markup. The same database gives the same bytes.
 *
 * The folder is replaced as a whole; a database that is being written may be read. */
#ifndef LB_STUDY_PAGES_H
#define LB_STUDY_PAGES_H
#include "base/err.h"

enum { LB_PAGES_TEXT_KB = 32 };

typedef struct lb_pages_opt {
    const char *models, *tasks;      /* comma lists; NULL: all */
    int text_kb;                     /* of each text on its page; 0: no texts at all */
    bool png;                        /* also plots/NAME.png in the folder */
} lb_pages_opt;

typedef struct lb_pages_written { int n_page, n_plot, n_model, n_task; } lb_pages_written;

/* From a database alone. out_dir: NULL for the database's name without ".sqlite", and "-report". *path (optional, the
 * caller frees it): the index. */
bool lb_pages_from_db(const char *db_path, const char *out_dir, const lb_pages_opt *o, char **path,
                      lb_pages_written *n, lb_err *err);
struct lb_rep;
/* Of the runs of a study that are done, into out_dir; `back` is the href of the study's own page from there. */
bool lb_pages_of_study(const struct lb_rep *r, const char *out_dir, const char *back, const lb_pages_opt *o,
                       lb_pages_written *n, lb_err *err);
/* True if the study has a database to make pages from, and a run that is done. */
bool lb_pages_study_has(const struct lb_rep *r);
#endif
