/* file.c: rows of a file, read by position.  Unlike a map of the file, it says so when the file ends too early. */
#define _POSIX_C_SOURCE 200809L
#include "fnn.h"

#include <errno.h>
#include <unistd.h>

static int read_all(int file, char *out, int64_t bytes, int64_t at) {
    while (bytes > 0) {
        const ssize_t got = pread(file, out, (size_t)bytes, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? errno : FNN_END_OF_FILE;
        out += got;
        bytes -= got;
        at += got;
    }
    return 0;
}

/* How many rows from row i on lie one behind the other, in the file and in out. */
static int64_t run_length(const fnn_file_rows *file, const uint32_t *rows, const int64_t *places, int64_t i,
                          int64_t n_rows) {
    int64_t n = 1;
    if (file->stride != file->row_bytes) return n;
    while (i + n < n_rows && rows[i + n] == rows[i] + (uint32_t)n && places[i + n] == places[i] + n) n++;
    return n;
}

int fnn_file_read(void *out, const fnn_file_rows *file, const uint32_t *rows, const int64_t *places, int64_t n_rows) {
    for (int64_t i = 0, n; i < n_rows; i += n) {
        n = run_length(file, rows, places, i, n_rows);
        const int status = read_all(file->descriptor, (char *)out + places[i] * file->row_bytes, n * file->row_bytes,
                                    file->start + (int64_t)rows[i] * file->stride);
        if (status != 0) return status;
    }
    return 0;
}
