/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A register of VAES_LANES blocks of 128 bits: 4 with AVX-512, 2 with AVX2 and VAES. Everything the
 * kernels need to know of the difference stands here.
 */
#ifndef KAIDO_VAES_VECTOR_H
#define KAIDO_VAES_VECTOR_H

#include <immintrin.h>
#include <string.h>

#define BLOCK  16 /* bytes */
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE __m128i block_load(const void *p)
{
	return _mm_loadu_si128(p);
}

INLINE void block_store(void *p, __m128i block)
{
	_mm_storeu_si128(p, block);
}

#if VAES_LANES == 4
typedef __m512i vec;
typedef __mmask64 vec_mask; /* a bit a byte */

#define VEC_DO(op)        _mm512_##op
#define vec_zero()        _mm512_setzero_si512()
#define vec_repeat(block) _mm512_broadcast_i32x4(block)
#define vec_first(v)      _mm512_castsi512_si128(v)
#define vec_xor(a, b)     _mm512_xor_si512(a, b)
#define vec_and(a, b)     _mm512_and_si512(a, b)
#define vec_xor3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define vec_load(p)       _mm512_loadu_si512(p)
#define vec_store(p, v)   _mm512_storeu_si512(p, v)

/* Bytes i of each lane for which i < count, count being the same byte all over the lane. */
INLINE vec_mask vec_mask_below(vec count)
{
	const __m128i index = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

	return _mm512_cmplt_epu8_mask(vec_repeat(index), count);
}

INLINE vec vec_keep(vec v, vec_mask mask)
{
	return _mm512_maskz_mov_epi8(mask, v);
}

/* Whether each lane is other than 0: two bits a lane, of which either may be set. */
INLINE uint32_t vec_lanes_set(vec v)
{
	return _mm512_test_epi64_mask(v, v);
}

/* Bytes 4 to 11 of each lane from `a`, the others from `b`. */
INLINE vec vec_blend_middle(vec a, vec b)
{
	return _mm512_mask_blend_epi32(0x6666, b, a);
}

/* 0, 1, 2, 3 in the last dword of the lanes. */
INLINE vec vec_lane_numbers(void)
{
	return _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
}

/* Lane 0 of `pair` and lane 1, each all over. */
#define vec_repeat_lane(v, lane) _mm512_shuffle_i64x2(v, v, (lane)*0x55)
#define vec_alternate(a, b)      _mm512_mask_blend_epi64(0xcc, a, b)

/* All lanes added up, in each lane. */
INLINE vec vec_sum_lanes(vec v)
{
	v = vec_xor(v, _mm512_shuffle_i64x2(v, v, 0x4e));
	return vec_xor(v, _mm512_shuffle_i64x2(v, v, 0xb1));
}

/* Bytes from <= i < to of a register, and nothing else: the others need not be mapped. */
INLINE vec_mask vec_mask_range(uint32_t from, uint32_t to)
{
	return _bzhi_u64(~UINT64_C(0), to) & ~_bzhi_u64(~UINT64_C(0), from);
}

INLINE vec vec_load_part(const void *p, vec_mask part)
{
	return _mm512_maskz_loadu_epi8(part, p);
}

INLINE void vec_store_part(void *p, vec_mask part, vec v)
{
	_mm512_mask_storeu_epi8(p, part, v);
}

/* No register keeps what a kernel computed with. */
INLINE void vec_wipe_registers(void)
{
	__asm__ volatile("vzeroall\n\t"
			 "vpxorq %%xmm16, %%xmm16, %%xmm16\n\tvpxorq %%xmm17, %%xmm17, %%xmm17\n\t"
			 "vpxorq %%xmm18, %%xmm18, %%xmm18\n\tvpxorq %%xmm19, %%xmm19, %%xmm19\n\t"
			 "vpxorq %%xmm20, %%xmm20, %%xmm20\n\tvpxorq %%xmm21, %%xmm21, %%xmm21\n\t"
			 "vpxorq %%xmm22, %%xmm22, %%xmm22\n\tvpxorq %%xmm23, %%xmm23, %%xmm23\n\t"
			 "vpxorq %%xmm24, %%xmm24, %%xmm24\n\tvpxorq %%xmm25, %%xmm25, %%xmm25\n\t"
			 "vpxorq %%xmm26, %%xmm26, %%xmm26\n\tvpxorq %%xmm27, %%xmm27, %%xmm27\n\t"
			 "vpxorq %%xmm28, %%xmm28, %%xmm28\n\tvpxorq %%xmm29, %%xmm29, %%xmm29\n\t"
			 "vpxorq %%xmm30, %%xmm30, %%xmm30\n\tvpxorq %%xmm31, %%xmm31, %%xmm31"
			 :
			 :
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",
			   "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
			   "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

/* Zeros that the compiler cannot leave out; whole registers, aligned. */
INLINE void vec_wipe(void *p, size_t size)
{
	for (size_t i = 0; i < size; i += sizeof(vec))
		_mm512_store_si512((uint8_t *)p + i, vec_zero());
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* Which of 64 bytes are `byte`. */
INLINE uint64_t bytes_equal(const uint8_t bytes[64], uint8_t byte)
{
	return _mm512_cmpeq_epi8_mask(vec_load(bytes), _mm512_set1_epi8((char)byte));
}

/* Blocks of four rows become four columns, and the other way round. */
INLINE void vec_transpose(vec v[4])
{
	vec a = _mm512_shuffle_i64x2(v[0], v[1], 0x44), b = _mm512_shuffle_i64x2(v[2], v[3], 0x44);
	vec c = _mm512_shuffle_i64x2(v[0], v[1], 0xee), d = _mm512_shuffle_i64x2(v[2], v[3], 0xee);

	v[0] = _mm512_shuffle_i64x2(a, b, 0x88);
	v[1] = _mm512_shuffle_i64x2(a, b, 0xdd);
	v[2] = _mm512_shuffle_i64x2(c, d, 0x88);
	v[3] = _mm512_shuffle_i64x2(c, d, 0xdd);
}

/* One block from each lane's address. */
INLINE vec lanes_load(const uint8_t *const p[VAES_LANES], size_t offset)
{
	vec v = _mm512_castsi128_si512(block_load(p[0] + offset));

	v = _mm512_inserti32x4(v, block_load(p[1] + offset), 1);
	v = _mm512_inserti32x4(v, block_load(p[2] + offset), 2);
	return _mm512_inserti32x4(v, block_load(p[3] + offset), 3);
}

INLINE void lanes_store(uint8_t *const p[VAES_LANES], size_t offset, vec v)
{
	block_store(p[0] + offset, vec_first(v));
	block_store(p[1] + offset, _mm512_extracti32x4_epi32(v, 1));
	block_store(p[2] + offset, _mm512_extracti32x4_epi32(v, 2));
	block_store(p[3] + offset, _mm512_extracti32x4_epi32(v, 3));
}

/* Four blocks from each lane's address: column i holds block i of each. */
INLINE void lanes_load4(vec column[4], const uint8_t *const p[VAES_LANES], size_t offset)
{
	UNROLL
	for (int i = 0; i < 4; i++)
		column[i] = vec_load(p[i] + offset);
	vec_transpose(column);
}

INLINE void lanes_store4(uint8_t *const p[VAES_LANES], size_t offset, const vec column[4])
{
	vec row[4] = { column[0], column[1], column[2], column[3] };

	vec_transpose(row);
	UNROLL
	for (int i = 0; i < 4; i++)
		vec_store(p[i] + offset, row[i]);
}
#else
typedef __m256i vec;
typedef __m256i vec_mask; /* a byte of ones a byte */

#define VEC_DO(op)        _mm256_##op
#define vec_zero()        _mm256_setzero_si256()
#define vec_repeat(block) _mm256_broadcastsi128_si256(block)
#define vec_first(v)      _mm256_castsi256_si128(v)
#define vec_xor(a, b)     _mm256_xor_si256(a, b)
#define vec_and(a, b)     _mm256_and_si256(a, b)
#define vec_xor3(a, b, c) vec_xor(vec_xor(a, b), c)
#define vec_load(p)       _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define vec_store(p, v)   _mm256_storeu_si256((__m256i *)(void *)(p), v)

INLINE vec_mask vec_mask_below(vec count)
{
	const __m128i index = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

	return _mm256_cmpgt_epi8(count, vec_repeat(index));
}

INLINE vec vec_keep(vec v, vec_mask mask)
{
	return vec_and(v, mask);
}

INLINE uint32_t vec_lanes_set(vec v)
{
	vec zero = _mm256_cmpeq_epi64(v, vec_zero());

	return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(zero)) ^ 0xf;
}

INLINE vec vec_blend_middle(vec a, vec b)
{
	return _mm256_blend_epi32(b, a, 0x66);
}

INLINE vec vec_lane_numbers(void)
{
	return _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0);
}

#define vec_repeat_lane(v, lane) _mm256_permute2x128_si256(v, v, (lane)*0x11)
#define vec_alternate(a, b)      _mm256_blend_epi32(a, b, 0xf0)

INLINE vec vec_sum_lanes(vec v)
{
	return vec_xor(v, _mm256_permute2x128_si256(v, v, 0x01));
}

/* No byte can be loaded or stored by itself: a part takes a way through the stack. */
INLINE vec_mask vec_mask_range(uint32_t from, uint32_t to)
{
	const vec index =
		_mm256_set_epi8(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15,
				14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

	return _mm256_andnot_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8((char)from), index),
				   _mm256_cmpgt_epi8(_mm256_set1_epi8((char)to), index));
}

INLINE uint32_t vec_mask_bits(vec_mask mask)
{
	return (uint32_t)_mm256_movemask_epi8(mask);
}

INLINE vec vec_load_part(const void *p, vec_mask part)
{
	uint32_t bits = vec_mask_bits(part);
	_Alignas(32) uint8_t bytes[32];

	_mm256_store_si256((__m256i *)(void *)bytes, vec_zero());
	if (bits != 0) {
		uint32_t from = (uint32_t)__builtin_ctz(bits);

		memcpy(bytes + from, (const uint8_t *)p + from, (uint32_t)__builtin_popcount(bits));
	}
	return _mm256_load_si256((const __m256i *)(const void *)bytes);
}

INLINE void vec_store_part(void *p, vec_mask part, vec v)
{
	uint32_t bits = vec_mask_bits(part);
	_Alignas(32) uint8_t bytes[32];

	_mm256_store_si256((__m256i *)(void *)bytes, v);
	if (bits != 0) {
		uint32_t from = (uint32_t)__builtin_ctz(bits);

		memcpy((uint8_t *)p + from, bytes + from, (uint32_t)__builtin_popcount(bits));
	}
}

/* Rows of four blocks become four columns of two lanes: half a row is one load. */
INLINE void vec_halves_transpose(vec a, vec b, vec out[2])
{
	out[0] = _mm256_permute2x128_si256(a, b, 0x20);
	out[1] = _mm256_permute2x128_si256(a, b, 0x31);
}

INLINE vec lanes_load(const uint8_t *const p[VAES_LANES], size_t offset)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(block_load(p[0] + offset)),
				       block_load(p[1] + offset), 1);
}

INLINE void lanes_store(uint8_t *const p[VAES_LANES], size_t offset, vec v)
{
	block_store(p[0] + offset, vec_first(v));
	block_store(p[1] + offset, _mm256_extracti128_si256(v, 1));
}

INLINE void lanes_load4(vec column[4], const uint8_t *const p[VAES_LANES], size_t offset)
{
	UNROLL
	for (int i = 0; i < 4; i += 2)
		vec_halves_transpose(vec_load(p[0] + offset + (size_t)i * BLOCK),
				     vec_load(p[1] + offset + (size_t)i * BLOCK), &column[i]);
}

INLINE void lanes_store4(uint8_t *const p[VAES_LANES], size_t offset, const vec column[4])
{
	UNROLL
	for (int i = 0; i < 4; i += 2) {
		vec row[2];

		vec_halves_transpose(column[i], column[i + 1], row);
		vec_store(p[0] + offset + (size_t)i * BLOCK, row[0]);
		vec_store(p[1] + offset + (size_t)i * BLOCK, row[1]);
	}
}

INLINE void vec_wipe_registers(void)
{
	_mm256_zeroall();
}

INLINE void vec_wipe(void *p, size_t size)
{
	for (size_t i = 0; i < size; i += sizeof(vec))
		vec_store((uint8_t *)p + i, vec_zero());
	__asm__ volatile("" : : "r"(p) : "memory");
}

INLINE uint64_t bytes_equal(const uint8_t bytes[64], uint8_t byte)
{
	const vec value = _mm256_set1_epi8((char)byte);
	uint32_t low = vec_mask_bits(_mm256_cmpeq_epi8(vec_load(bytes), value));
	uint32_t high = vec_mask_bits(_mm256_cmpeq_epi8(vec_load(bytes + 32), value));

	return (uint64_t)high << 32 | low;
}
#endif

/* Bytes of a block the other way round: GHASH takes the first bit as the highest. */
INLINE vec vec_reflect(vec v)
{
	return VEC_DO(shuffle_epi8)(
		v, vec_repeat(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

#define vec_swap_halves(v) VEC_DO(shuffle_epi32)(v, 0x4e)

#endif /* KAIDO_VAES_VECTOR_H */
