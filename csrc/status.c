/* status.c: what each status means, in words. */
#include "fnn.h"

const char *fnn_status_text(fnn_status status) {
    switch (status) {
    case FNN_OK: return "ok";
    case FNN_ERR_MEMORY: return "out of memory";
    case FNN_ERR_DIVERGED: return "the loss is not finite";
    case FNN_ERR_DEVICE: return "a device failed";
    }
    return "unknown status";
}
