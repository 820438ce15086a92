/* study/pages_folder.h – the folder of pages, replaced as a whole: readers see the old report or the new one. */
#ifndef LB_STUDY_PAGES_FOLDER_H
#define LB_STUDY_PAGES_FOLDER_H
#include "base/buf.h"
#include "base/file.h"

typedef struct lb_pages_folder {
    lb_outdir dir;                   /* its tmp is filled; path is a name beside the final one */
    char *path;                      /* owned: the final one */
    int n_file;
} lb_pages_folder;

/* Begins a folder that will be `path`. LB_EUSAGE if that is there and holds anything but a report. */
bool lb_pages_folder_open(lb_pages_folder *f, const char *path, lb_err *err);
/* A file in it: NAME or SUB/NAME. */
bool lb_pages_folder_put(lb_pages_folder *f, const char *name, const void *p, size_t n, lb_err *err);
/* Everything is on the disk, then takes the final name at once. Closes either way. */
bool lb_pages_folder_commit(lb_pages_folder *f, lb_err *err);
void lb_pages_folder_abort(lb_pages_folder *f);
#endif
