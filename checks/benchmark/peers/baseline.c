/* The plain loops that `symopt bench` measures itself against: Lion and AdamW, written by hand, in place, one loop each.
 *
 * A stand-alone program, built by `symopt bench` with
 *
 *     cc -O3 -march=native -ffp-contract=off -fno-math-errno -fopenmp baseline.c -lm
 *
 * (without -fopenmp it has one-thread loops only) and run as `baseline THREADS`. It speaks JSON lines, as peers.py does:
 *
 *   it starts with      {"peers":[{"name":"C lion","program":"lion","version":"12.2.0"},...]}
 *   it is asked         {"peer":"C lion","arrays":[4096],"seconds":0.1}
 *   it answers          {"nanoseconds":[810.2,...]}      one number for each sample: the mean time of a step
 *   or                  {"error":"..."}
 *   it ends             when its standard input does
 *
 * `arrays` holds the lengths of the parameter arrays. What is made for the arrays of one question is kept for the next one, so that only the
 * first one has to wait for it. With `seconds` 0 nothing is measured, but all is made ready.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* Shorter arrays are done by one thread: waking a second one would take longer than it saves. */
#define PARALLEL_FROM 32768
/* A sample lasts at least this long, or one step. */
#define SAMPLE_NANOSECONDS 2e6
#define MOST_SAMPLES 1024
#define LONGEST_LINE (1 << 20)

/* Small enough that no number of steps moves the weights far. */
static const float lr = 1e-9f, weight_decay = 0.1f;

static inline float lion_element(float *restrict m, float w, float g) {
    const float a1 = 0.1f, b1 = 0.9f, a2 = 0.01f, b2 = 0.99f;
    float c = a1 * g + b1 * *m;
    float sign = (float)((c > 0.0f) - (c < 0.0f));
    *m = a2 * g + b2 * *m;
    return w - lr * (sign + weight_decay * w);
}

static void lion(float *restrict w, const float *restrict g, float *restrict m, long n, int threads) {
#ifdef _OPENMP
    if (threads > 1 && n >= PARALLEL_FROM) {
#pragma omp parallel for simd schedule(static) num_threads(threads)
        for (long i = 0; i < n; i++) w[i] = lion_element(&m[i], w[i], g[i]);
        return;
    }
#endif
    (void)threads;
    for (long i = 0; i < n; i++) w[i] = lion_element(&m[i], w[i], g[i]);
}

static inline float adamw_element(float *restrict m, float *restrict v, float w, float g, float c1, float c2) {
    const float a1 = 0.1f, b1 = 0.9f, a2 = 0.001f, b2 = 0.999f, epsilon = 1e-8f;
    *m = a1 * g + b1 * *m;
    *v = a2 * (g * g) + b2 * *v;
    float update = (*m / c1) / (sqrtf(*v / c2) + epsilon);
    return w - lr * (update + weight_decay * w);
}

static void adamw(float *restrict w, const float *restrict g, float *restrict m, float *restrict v, long n, int threads, long step) {
    const float c1 = (float)(1.0 - pow(0.9, (double)step)), c2 = (float)(1.0 - pow(0.999, (double)step));
#ifdef _OPENMP
    if (threads > 1 && n >= PARALLEL_FROM) {
#pragma omp parallel for simd schedule(static) num_threads(threads)
        for (long i = 0; i < n; i++) w[i] = adamw_element(&m[i], &v[i], w[i], g[i], c1, c2);
        return;
    }
#endif
    (void)threads;
    for (long i = 0; i < n; i++) w[i] = adamw_element(&m[i], &v[i], w[i], g[i], c1, c2);
}

/* A model for one program: its arrays, each with its state. */
enum { W, G, M, V, KINDS };
struct model {
    long count, step;
    /* Steps in a sample; 0 as long as that is not known. */
    long steps;
    long *lengths;
    float **arrays[KINDS];
};

static void release(struct model *model) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (long i = 0; model->arrays[kind] && i < model->count; i++) free(model->arrays[kind][i]);
        free(model->arrays[kind]);
    }
    free(model->lengths);
    memset(model, 0, sizeof *model);
}

/* A number of size 0.25 to 1 and either sign: never zero, never near a denormal number. */
static float noise(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    float size = 0.25f + 0.75f * (float)(*state >> 9) / (float)(1 << 23);
    return *state & 256 ? size : -size;
}

static int allocate(struct model *model, const long *lengths, long count) {
    uint32_t state = 1;
    release(model);
    model->count = count;
    model->lengths = malloc((size_t)count * sizeof *lengths);
    if (!model->lengths) return 0;
    memcpy(model->lengths, lengths, (size_t)count * sizeof *lengths);
    for (int kind = 0; kind < KINDS; kind++) {
        model->arrays[kind] = calloc((size_t)count, sizeof(float *));
        if (!model->arrays[kind]) return 0;
        for (long i = 0; i < count; i++) {
            size_t bytes = ((size_t)lengths[i] * sizeof(float) + 63) / 64 * 64;
            float *array = aligned_alloc(64, bytes);
            if (!array) return 0;
            /* Every page is written, so that none is made during the measurement. */
            for (long j = 0; j < lengths[i]; j++) array[j] = kind == W || kind == G ? noise(&state) : 0.0f;
            model->arrays[kind][i] = array;
        }
    }
    return 1;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

static double run(struct model *model, int is_adamw, int threads, long steps) {
    double start = now();
    for (long s = 0; s < steps; s++) {
        model->step++;
        for (long i = 0; i < model->count; i++) {
            float *w = model->arrays[W][i], *g = model->arrays[G][i], *m = model->arrays[M][i];
            if (is_adamw)
                adamw(w, g, m, model->arrays[V][i], model->lengths[i], threads, model->step);
            else
                lion(w, g, m, model->lengths[i], threads);
        }
    }
    return now() - start;
}

/* How many steps make a sample. Only the fastest time counts: whatever else the machine does in between makes a step seem longer than it is. */
static long calibrate(struct model *model, int is_adamw, int threads) {
    long steps = 1;
    double step = fmin(run(model, is_adamw, threads, 1), run(model, is_adamw, threads, 1));
    while (step * (double)steps < SAMPLE_NANOSECONDS / 4) {
        steps *= 2;
        step = fmin(step, run(model, is_adamw, threads, steps) / (double)steps);
    }
    return step < SAMPLE_NANOSECONDS ? (long)(SAMPLE_NANOSECONDS / step) + 1 : 1;
}

static void answer(struct model *model, int is_adamw, int threads, double seconds) {
    if (!model->steps) model->steps = calibrate(model, is_adamw, threads);
    /* Others ran since the last question: fills the caches and wakes the threads again. */
    run(model, is_adamw, threads, model->steps / 8);
    double left = seconds * 1e9;
    printf("{\"nanoseconds\":[");
    for (int samples = 0; left > 0.0 && samples < MOST_SAMPLES; samples++) {
        double time = run(model, is_adamw, threads, model->steps);
        printf("%s%.3f", samples ? "," : "", time / (double)model->steps);
        left -= time;
    }
    printf("]}\n");
}

int main(int argc, char **argv) {
    static char line[LONGEST_LINE];
    static struct model models[2];
    const char *programs[] = {"lion", "adamw"};
    int threads = argc > 1 ? atoi(argv[1]) : 1;
#ifndef _OPENMP
    if (threads > 1) {
        printf("{\"peers\":[]}\n");
        return 0;
    }
#endif
#ifdef __VERSION__
    const char *version = __VERSION__;
#else
    const char *version = "unknown";
#endif
    printf("{\"peers\":[");
    for (int i = 0; i < 2; i++)
        printf("%s{\"name\":\"C %s\",\"program\":\"%s\",\"version\":\"%s\"}", i ? "," : "", programs[i], programs[i], version);
    printf("]}\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        /* The questions come from one writer, in one form. */
        const char *arrays = strstr(line, "\"arrays\":["), *time = strstr(line, "\"seconds\":");
        int is_adamw = strstr(line, "\"peer\":\"C adamw\"") != NULL;
        long *lengths = malloc(strlen(line) * sizeof *lengths), count = 0;
        int ready = arrays && time && lengths && (is_adamw || strstr(line, "\"peer\":\"C lion\""));
        if (ready) {
            for (char *at = (char *)arrays + strlen("\"arrays\":["); *at >= '0' && *at <= '9'; at += *at == ',')
                lengths[count++] = strtol(at, &at, 10);
            struct model *model = &models[is_adamw];
            if (model->count != count || memcmp(model->lengths, lengths, (size_t)count * sizeof *lengths)) {
                release(&models[!is_adamw]);
                ready = allocate(model, lengths, count);
            }
            if (ready)
                answer(model, is_adamw, threads, strtod(time + strlen("\"seconds\":"), NULL));
            else
                printf("{\"error\":\"out of memory\"}\n"), release(model);
        } else {
            printf("{\"error\":\"a question that was not understood\"}\n");
        }
        free(lengths);
        fflush(stdout);
    }
    return 0;
}
