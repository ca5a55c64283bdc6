/* narrow.inc.h: the dense kernels, and the table of them that FNN_TABLE names, for layers of up to eight units. */
#include "common.inc.h"

#include "math.inc.h"

#include "descend.inc.h"
#include "deliver.inc.h"
#include "product.inc.h"

#include "dense.inc.h"

const fnn_kernels FNN_TABLE = {
    .dense_forward = dense_forward,
    .dense_backward_input = dense_backward_input,
    .dense_backward_weight = dense_backward_weight,
    .view_forward = view_forward,
};
