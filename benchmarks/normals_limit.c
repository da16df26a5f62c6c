/* What one core can do: the float32 normals of ensembles.normals, to the bit, by hand in AVX2; a yardstick, no part of
   the package. Built and called by normals_limit.py. Sixteen paths to a block, as two vectors of eight. */
#include <immintrin.h>
#include <stdint.h>

#define LANES 8
#define HALVES 2
#define PACK (LANES * HALVES)
#define INTS(x) _mm256_set1_epi32((int)(x))
#define REALS(x) _mm256_set1_ps(x)
#define AS_INTS(x) _mm256_castps_si256(x)
#define AS_REALS(x) _mm256_castsi256_ps(x)
#define INLINE static inline __attribute__((always_inline))

typedef __m256i ints;
typedef __m256 reals;

INLINE reals times(reals a, reals b) { return _mm256_mul_ps(a, b); }
INLINE reals plus(reals a, reals b) { return _mm256_add_ps(a, b); }
INLINE reals horner(reals p, reals x, float c) { return plus(times(p, x), REALS(c)); }

/* 32 x 32 -> 64 bits for eight lanes: even and odd lanes apart, high halves put together again */
INLINE void product(ints a, ints m, ints *high, ints *low) {
    ints even = _mm256_mul_epu32(a, m), odd = _mm256_mul_epu32(_mm256_shuffle_epi32(a, 0xF5), m);
    *high = _mm256_blend_epi32(_mm256_shuffle_epi32(even, 0xF5), odd, 0xAA);
    *low = _mm256_mullo_epi32(a, m);
}

INLINE void philox(ints x[4][HALVES], uint32_t key_0, uint32_t key_1) {
    ints first = INTS(0xD2511F53u), second = INTS(0xCD9E8D57u);
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++, key_0 += 0x9E3779B9u, key_1 += 0xBB67AE85u)
        for (int h = 0; h < HALVES; h++) {
            ints high_0, low_0, high_1, low_1;
            product(x[0][h], first, &high_0, &low_0);
            product(x[2][h], second, &high_1, &low_1);
            x[0][h] = _mm256_xor_si256(_mm256_xor_si256(high_1, x[1][h]), INTS(key_0));
            x[2][h] = _mm256_xor_si256(_mm256_xor_si256(high_0, x[3][h]), INTS(key_1));
            x[1][h] = low_1;
            x[3][h] = low_0;
        }
}

INLINE reals logarithm(reals u) {
    ints shifted = _mm256_add_epi32(AS_INTS(u), INTS(0x3F800000u - 0x3F3504F3u));
    reals e = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(shifted, 23), INTS(127)));
    ints mantissa = _mm256_add_epi32(_mm256_and_si256(shifted, INTS(0x7FFFFF)), INTS(0x3F3504F3u));
    reals m = _mm256_sub_ps(AS_REALS(mantissa), REALS(1.0f)), square = times(m, m), p = REALS(7.0376836292e-2f);
    p = horner(p, m, -1.1514610310e-1f);
    p = horner(p, m, 1.1676998740e-1f);
    p = horner(p, m, -1.2420140846e-1f);
    p = horner(p, m, 1.4249322787e-1f);
    p = horner(p, m, -1.6668057665e-1f);
    p = horner(p, m, 2.0000714765e-1f);
    p = horner(p, m, -2.4999993993e-1f);
    p = horner(p, m, 3.3333331174e-1f);
    reals rest = plus(_mm256_sub_ps(m, times(REALS(0.5f), square)), times(times(square, m), p));
    return plus(rest, times(REALS(0.69314718056f), e));
}

INLINE void box_muller(float *out, ints radius_word, ints angle_word) {
    reals u = horner(_mm256_cvtepi32_ps(_mm256_srli_epi32(radius_word, 1)), REALS(0x1p-31f), 0x1p-32f);
    reals radius = _mm256_sqrt_ps(times(REALS(-2.0f), logarithm(u)));
    reals turn = _mm256_cvtepi32_ps(_mm256_slli_epi32(angle_word, 2));
    reals angle = times(turn, REALS((float)(0x1p-31 * 3.14159265358979323846 / 4))), q = times(angle, angle);
    reals s = horner(horner(REALS(-1.9515295891e-4f), q, 8.3321608736e-3f), q, -1.6666654611e-1f);
    reals c = horner(horner(REALS(2.443315711809948e-5f), q, -1.388731625493765e-3f), q, 4.166664568298827e-2f);
    s = plus(angle, times(times(angle, q), s));
    c = plus(_mm256_sub_ps(REALS(1.0f), times(REALS(0.5f), q)), times(times(q, q), c));
    ints sign = _mm256_and_si256(_mm256_slli_epi32(angle_word, 1), INTS(0x80000000u));
    ints sine = AS_INTS(times(s, radius)), cosine = _mm256_xor_si256(AS_INTS(times(c, radius)), sign);
    ints exchange = _mm256_and_si256(_mm256_xor_si256(sine, cosine), _mm256_srai_epi32(angle_word, 31));
    _mm256_storeu_si256((ints *)out, _mm256_xor_si256(cosine, exchange));
    _mm256_storeu_si256((ints *)(out + PACK), _mm256_xor_si256(sine, exchange));
}

INLINE void start(ints x[4][HALVES], uint64_t block, uint64_t path, uint32_t purpose) {
    ints lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int h = 0; h < HALVES; h++) {
        x[0][h] = INTS((uint32_t)block);
        x[1][h] = INTS((uint32_t)(block >> 32));
        x[2][h] = _mm256_add_epi32(INTS((uint32_t)path + LANES * h), lane);
        x[3][h] = INTS((purpose << 24) | (uint32_t)(path >> 32));
    }
}

/* Blocks first, first + 1, ... of the streams of sixteen paths from number `path` on: four rows of PACK a block. */
void normals(float *out, int64_t blocks, uint64_t seed, uint32_t purpose, uint64_t path, uint64_t first) {
    for (int64_t b = 0; b < blocks; b++, out += 4 * PACK) {
        ints x[4][HALVES];
        start(x, first + b, path, purpose);
        philox(x, (uint32_t)seed, (uint32_t)(seed >> 32));
        for (int h = 0; h < HALVES; h++) {
            box_muller(out + LANES * h, x[0][h], x[2][h]);
            box_muller(out + 2 * PACK + LANES * h, x[1][h], x[3][h]);
        }
    }
}

/* The same many times over, into one array that stays in cache. */
void many(float *out, int64_t blocks, int64_t times_over) {
    for (int64_t k = 0; k < times_over; k++) normals(out, blocks, 0, 3, 0, k * blocks);
}
