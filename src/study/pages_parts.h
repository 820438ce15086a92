/* study/pages_parts.h – the pages that pages.c writes, and what they share.
 *
 *     index.html             accuracy of each model on each task, readings, lengths
 *     TASK.html              one task: numbers, plots, and the matrix of problems × models
 *     TASK.pN.html           a block of problems, each with every model's answers
 *     readings.html          samples whose strict, counted and lenient reading differ, and those not understood
 *     text/TASK.I.C.SEED.SAMPLE.txt      texts that were too long for their page, as they are */
#ifndef LB_STUDY_PAGES_PARTS_H
#define LB_STUDY_PAGES_PARTS_H
#include "study/page.h"
#include "study/pages.h"
#include "study/pages_data.h"
#include "study/pages_folder.h"

extern const char lb_pages_rules[], lb_pages_sort_script[];      /* pages_style.c */

/* ---- the pages, from the <h1> on ---- */

void lb_pages_index(const lb_pages *p, lb_page *page);
void lb_pages_task_page(const lb_pages *p, int task, lb_page *page);
/* Problems of one block; long texts become files of their own. */
bool lb_pages_block(const lb_pages *p, int task, int block, const lb_pages_opt *o, lb_pages_folder *f, lb_page *page,
                    lb_err *err);
bool lb_pages_readings(const lb_pages *p, lb_page *page, lb_err *err);

/* All pages of what was read, into a folder. */
bool lb_pages_write(lb_pages *p, const char *out_dir, const lb_pages_opt *o, lb_pages_written *n, lb_err *err);

/* ---- what they share ---- */

/* "chain.p2.html#i17-m3"; col −1: the problem itself. */
typedef struct lb_pages_href { char s[120]; } lb_pages_href;
lb_pages_href lb_pages_problem_href(const lb_pages_task *t, int i, int col);
/* "17" (its line in the file), or "#5" where that is not known. */
void lb_pages_problem_name(const lb_pages_task *t, int i, char out[32]);
/* s[0,n) of at most `most` bytes, with an ellipsis where it was cut, on a character's edge. */
void lb_pages_short(lb_buf *b, const char *s, size_t most);
/* Links to the pages above and beside; `here` is NULL or the task's. */
void lb_pages_nav(const lb_pages *p, lb_page *page, const lb_pages_task *here);
/* "✓ right", "✗ wrong", "? unknown", "not graded". */
void lb_pages_verdict(lb_buf *b, int verdict, const char *prefix);
/* The table of one task (of all tasks: −1): readings, lengths, truncation. */
void lb_pages_numbers(const lb_pages *p, int task, lb_buf *b);

/* ---- plots ---- */

bool lb_pages_accuracy_plot(const lb_pages *p, lb_figure *f);
bool lb_pages_length_plot(const lb_pages *p, int task, lb_figure *f);
bool lb_pages_truncated_plot(const lb_pages *p, int task, lb_figure *f);
bool lb_pages_gain_plot(const lb_pages *p, int task, lb_figure *f);
bool lb_pages_level_plot(const lb_pages *p, int task, lb_figure *f);
#endif
