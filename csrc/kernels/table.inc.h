/* table.inc.h: all kernels, and the table of them that FNN_TABLE names. */
#include "common.inc.h"

#include "math.inc.h"

#include "criteria.inc.h"
#include "descend.inc.h"
#include "deliver.inc.h"
#include "product.inc.h"
#include "random.inc.h"

#include "apply.inc.h"
#include "dense.inc.h"
#include "dropout.inc.h"
#include "input.inc.h"
#include "loss.inc.h"
#include "norm.inc.h"
#include "peak.inc.h"
#include "row.inc.h"
#include "skip.inc.h"
#include "sparse.inc.h"
#include "update.inc.h"

const fnn_kernels FNN_TABLE = {
    .name = FNN_TABLE_NAME,
    .apply = apply,
    .slope = slope,
    .random_draws = random_draws,
    .gather = gather,
    .dropout_keep = dropout_keep,
    .dense_forward = dense_forward,
    .dense_backward_input = dense_backward_input,
    .dense_backward_weight = dense_backward_weight,
    .skip_gather = skip_gather,
    .skip_transpose = skip_transpose,
    .skip_forward = skip_forward,
    .skip_backward_weight = skip_backward_weight,
    .sparse_forward = sparse_forward,
    .sparse_columns = sparse_columns,
    .sparse_backward_weight = sparse_backward_weight,
    .loss = loss,
    .output_gradient = output_gradient,
    .output = output,
    .view_forward = view_forward,
    .row_entries = row_entries,
    .row_forward = row_forward,
    .row_output = row_output,
    .update = update,
    .clip = clip,
    .mask = mask,
    .max_norm = max_norm,
    .peak = peak,
};
