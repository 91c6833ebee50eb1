/* The inner loops of the JSON reader and writer: where the next byte is that a string must look at,
 * and UTF-8. */
#pragma once

#include <glib.h>
#include <string.h>

#if defined(__SSE2__) && !defined(CM_JSON_SCALAR)
#include <emmintrin.h>
#define CM_JSON_STRIDE 16
#else
#define CM_JSON_STRIDE 8
#endif

/* How many of the next CM_JSON_STRIDE bytes at @text come before the first that is not plain inside
 * a string: a quote, a backslash, a control character or a byte of a sequence of UTF-8. */
static inline gsize
cm_json_plain_prefix (const guint8 *text)
{
#if CM_JSON_STRIDE == 16
  __m128i bytes = _mm_loadu_si128 ((const __m128i *) text);
  /* The comparison is signed: bytes from 0x80 on count as negative, hence as less than a space. */
  __m128i odd = _mm_cmplt_epi8 (bytes, _mm_set1_epi8 (0x20));
  odd = _mm_or_si128 (odd, _mm_cmpeq_epi8 (bytes, _mm_set1_epi8 ('"')));
  odd = _mm_or_si128 (odd, _mm_cmpeq_epi8 (bytes, _mm_set1_epi8 ('\\')));
  return (gsize) __builtin_ctz ((unsigned) _mm_movemask_epi8 (odd) | 1u << 16);
#else
  const guint64 ones = 0x0101010101010101u;
  guint64 bytes;
  memcpy (&bytes, text, sizeof bytes);
  bytes = GUINT64_FROM_LE (bytes);
  /* Each term sets the top bit of a byte that is zero, or less than a space; a borrow can set it
   * wrongly only above a byte where it is rightly set, and only the lowest counts. */
  guint64 quote = bytes ^ ones * '"';
  guint64 backslash = bytes ^ ones * '\\';
  guint64 odd = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                ((bytes - ones * 0x20) & ~bytes) | bytes;
  odd &= ones * 0x80;
  return odd != 0 ? (gsize) __builtin_ctzll (odd) / 8 : 8;
#endif
}

/* The first byte at or after @text that is not plain. Reads up to CM_JSON_STRIDE bytes from there.
 */
static inline guint8 *
cm_json_skip_plain (guint8 *text)
{
  gsize n;
  do {
    n = cm_json_plain_prefix (text);
    text += n;
  } while (n == CM_JSON_STRIDE);
  return text;
}

/* The same in text that ends at @end and may not be read beyond. */
static inline const guint8 *
cm_json_skip_plain_until (const guint8 *text, const guint8 *end)
{
  while (end - text >= CM_JSON_STRIDE) {
    gsize n = cm_json_plain_prefix (text);
    text += n;
    if (n < CM_JSON_STRIDE)
      return text;
  }
  guint8 tail[CM_JSON_STRIDE] = { 0 };
  memcpy (tail, text, (gsize) (end - text));
  return text + cm_json_plain_prefix (tail);
}

/* The length of the sequence of UTF-8 at @text, whose first byte is not ASCII: 2 to 4, or 0 when it
 * is not valid (Unicode, table 3-7: no overlong form, no surrogate, nothing above U+10FFFF). Stops
 * at the first wrong byte, so a terminating NUL is bound enough. */
static inline gsize
cm_json_utf8_length (const guint8 *text)
{
  guint8 lead = text[0];
  guint8 low = 0x80, high = 0xBF;

  if (lead < 0xC2 || lead > 0xF4)
    return 0;
  switch (lead) {
  case 0xE0:
    low = 0xA0;
    break;
  case 0xED:
    high = 0x9F;
    break;
  case 0xF0:
    low = 0x90;
    break;
  case 0xF4:
    high = 0x8F;
    break;
  default:
    break;
  }
  if (text[1] < low || text[1] > high)
    return 0;
  if (lead < 0xE0)
    return 2;
  if ((text[2] & 0xC0) != 0x80)
    return 0;
  if (lead < 0xF0)
    return 3;
  return (text[3] & 0xC0) == 0x80 ? 4 : 0;
}
