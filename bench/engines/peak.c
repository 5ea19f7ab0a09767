// What one core of this processor can multiply and add at most, in thousands of
// millions a second: prints {"f32": .., "int8": ..} for AVX-512 with VNNI.
//
//   cc -O3 -funroll-all-loops -mavx512f -mavx512vnni peak.c -o peak && ./peak
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

#define CHAINS 12
#define TURNS 10000000L

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(void) {
    double best[2] = {0, 0};
    volatile float keep = 0;
    for (int round = 0; round < 9; round++) {
        __m512 f[CHAINS];
        __m512i i[CHAINS];
        const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1e-9f);
        const __m512i u = _mm512_set1_epi32(0x01020304), s = _mm512_set1_epi32(0x01010101);
        for (int c = 0; c < CHAINS; c++) {
            f[c] = _mm512_set1_ps((float)c);
            i[c] = _mm512_set1_epi32(c);
        }
        double start = seconds();
        for (long k = 0; k < TURNS; k++) {
            for (int c = 0; c < CHAINS; c++) f[c] = _mm512_fmadd_ps(a, b, f[c]);
            __asm__ volatile("" ::"v"(f[0]));
        }
        double rate = 16.0 * CHAINS * TURNS / (seconds() - start) / 1e9;
        if (rate > best[0]) best[0] = rate;
        start = seconds();
        for (long k = 0; k < TURNS; k++) {
            for (int c = 0; c < CHAINS; c++) i[c] = _mm512_dpbusd_epi32(i[c], u, s);
            __asm__ volatile("" ::"v"(i[0]));
        }
        rate = 64.0 * CHAINS * TURNS / (seconds() - start) / 1e9;
        if (rate > best[1]) best[1] = rate;
        for (int c = 0; c < CHAINS; c++)
            keep += _mm512_reduce_add_ps(f[c]) + (float)_mm512_reduce_add_epi32(i[c]);
    }
    printf("{\"f32\": %.1f, \"int8\": %.1f}\n", best[0], best[1]);
    return 0;
}
