/* net.c: the description of a network, where its parameters lie in a packed block, and sums over them. */
#include "fnn.h"

#include <string.h>

fnn_net *fnn_net_create(const fnn_input *input, const fnn_layer *layers, int64_t n_layers) {
    fnn_net *net = fnn_alloc(sizeof(fnn_net) + (size_t)n_layers * sizeof(fnn_layer));
    if (net == NULL) return NULL;
    net->input = *input;
    net->n_layers = n_layers;
    int64_t n_in = input->n_in;
    for (int64_t l = 0; l < n_layers; l++) {
        fnn_layer *layer = &net->layers[l];
        *layer = layers[l];
        layer->n_in = n_in;
        layer->w = layer->g = layer->same_as > 0 ? net->layers[layer->same_as - 1].w : net->n_floats;
        layer->b = layer->w + fnn_panels(layer->n_out) * n_in * FNN_LANES;
        if (layer->same_as == 0) net->n_floats += fnn_layer_floats(layer);
        n_in = layer->n_out;
    }
    net->n_gradients = net->n_floats;
    for (int64_t l = 0; l < n_layers; l++) {
        if (layers[l].same_as == 0) continue;
        net->layers[l].g = net->n_gradients;
        net->n_gradients += fnn_layer_floats(&net->layers[l]);
    }
    return net;
}

void fnn_pack(float *packed, const float *matrix, int64_t n_in, int64_t n_out) {
    for (int64_t panel = 0; panel < fnn_panels(n_out); panel++) {
        const int64_t first = panel * FNN_LANES;
        const int64_t lanes = n_out - first < FNN_LANES ? n_out - first : FNN_LANES;
        for (int64_t k = 0; k < n_in; k++, packed += FNN_LANES) {
            memset(packed, 0, FNN_LANES * sizeof(float));
            memcpy(packed, matrix + k * n_out + first, (size_t)lanes * sizeof(float));
        }
    }
}

void fnn_unpack(float *matrix, const float *packed, int64_t n_in, int64_t n_out) {
    for (int64_t panel = 0; panel < fnn_panels(n_out); panel++) {
        const int64_t first = panel * FNN_LANES;
        const int64_t lanes = n_out - first < FNN_LANES ? n_out - first : FNN_LANES;
        for (int64_t k = 0; k < n_in; k++, packed += FNN_LANES)
            memcpy(matrix + k * n_out + first, packed, (size_t)lanes * sizeof(float));
    }
}

int fnn_is_finite(const float *values, int64_t n) {
    float zero = 0.0f; /* stays zero unless a value is infinite or NaN */
    for (int64_t i = 0; i < n; i++) zero += values[i] * 0.0f;
    return zero == 0.0f;
}

static double penalty_of(const float *w, int64_t n, fnn_restraint restraint) {
    double squares = 0, magnitudes = 0;
    for (int64_t i = 0; i < n; i++) {
        squares += (double)w[i] * w[i];
        magnitudes += w[i] < 0 ? -(double)w[i] : w[i];
    }
    return 0.5 * restraint.l2 * squares + restraint.l1 * magnitudes;
}

double fnn_penalty(const fnn_net *net, const float *params, const fnn_restraint *restraints) {
    double sum = 0;
    for (int64_t l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        if (layer->same_as == 0) sum += penalty_of(params + layer->w, layer->b - layer->w, restraints[l]);
    }
    return sum;
}
